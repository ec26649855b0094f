"""Rewrite a `torch.export` archive so that reading it runs nothing: torch gets only what was checked.

torch resolves operators by `getattr`, evaluates size expressions, compiles names and guards as Python source and
unpickles sample inputs. So graph nodes may only call listed operators, names are plain words, sizes are arithmetic, and
guards, source metadata and sample inputs are left out.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from math import prod
from pathlib import Path
from typing import Any

import torch

from camviz.errors import CheckpointError
from camviz.models.checkpoint.files import damaged
from camviz.models.checkpoint.operators import listed_target

_PROGRAM = re.compile(r"[^/]+/models/model\.json|(?:[^/]+/)?serialized_exported_program\.json")
_CONFIG = re.compile(r"[^/]+/data/(weights|constants)/model_\w+_config\.json")
_RECORD = re.compile(r"(weight|tensor)_\d+")
_WORD = re.compile(r"[\w.@+-]*")
_TEXT = re.compile(r"[\w .,>+-]*")  # an argument such as "bilinear" or "bhqd,bhkd->bhqk"; torch quotes it
_STACK = re.compile(r"[\w.,;@<>:]*")  # the modules that a node comes from
_CALLED = re.compile(  # what torch writes into the sizes of a program
    r"Symbol|Integer|Rational|Float|Add|Mul|Pow|Max|Min|Mod|PythonMod|FloorDiv|ModularIndexing|Where|CleanDiv|"
    r"CeilToInt|FloorToInt|CeilDiv|LShift|RShift|PowByNatural|FloatPow|FloatTrueDiv|IntTrueDiv|IsNonOverlappingAnd"
    r"DenseIndicator|TruncToFloat|TruncToInt|RoundToInt|RoundDecimal|ToFloat|Identity|OpaqueUnaryFn_\w+|floor|ceiling"
)
_NODES = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.Name, ast.Constant, ast.Call, ast.keyword,
    ast.operator, ast.unaryop, ast.cmpop, ast.boolop, ast.Load,
)  # fmt: skip


def checked_archive(path: Path) -> io.BytesIO:
    """Return the archive with only what is needed and harmless. Raises `CheckpointError` for anything else in it."""
    result = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(result, "w", zipfile.ZIP_STORED) as new:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len({entry.filename.casefold() for entry in entries}) < len(entries):
            raise damaged(path, ValueError("its entries are ambiguous"))
        for entry in entries:
            data = _checked(path, entry, archive)
            if data is not None:
                new.writestr(zipfile.ZipInfo(entry.filename), data)
    result.seek(0)
    return result


def _checked(path: Path, entry: zipfile.ZipInfo, archive: zipfile.ZipFile) -> bytes | None:
    """The record as torch may see it; None to leave it out."""
    name = entry.filename
    if name.endswith((".so", ".pkl", ".dll", ".pyd")) or "/aotinductor/" in name:
        raise _runs(path, f"'{name}'")
    if "/extra/" in name or "extra_files/" in name:
        return None
    data = archive.read(entry)
    if name.endswith(".pt"):
        _check_pickle(path, name, data)
        return b"" if "sample_inputs" in name or name.endswith("example_inputs.pt") else data
    if not name.endswith(".json"):
        return data
    content = json.loads(data)
    if _PROGRAM.fullmatch(name):
        _check_opaque(path, name, content)
        return json.dumps(_checked_program(path, content)).encode()
    if _CONFIG.fullmatch(name):
        _check_opaque(path, name, content)
        _check_config(path, name, content, archive)
        return json.dumps(content).encode()
    raise _runs(path, f"'{name}'")


def _check_opaque(path: Path, name: str, content: Any) -> None:
    for key, value in _items(content):
        if (key == "use_pickle" and value) or (key == "path_name" and not _RECORD.fullmatch(str(value))):
            raise _runs(path, f"a pickle in '{name}'")
        if key in ("as_custom_obj", "custom_obj_values") and value:
            raise _runs(path, f"an object in '{name}'")


def _check_config(path: Path, name: str, content: Any, archive: zipfile.ZipFile) -> None:
    """Refuse tensors that claim more than their record holds."""
    for described in content["config"].values():
        record = archive.getinfo(f"{name.rpartition('/')[0]}/{described['path_name']}")
        meta = described["tensor_meta"]
        meta["device"] = {"type": "cpu", "index": None}
        count = prod(size["as_int"] for size in meta["sizes"])
        if count < 0 or count > 20 * record.file_size + 1:
            raise damaged(path, ValueError(f"a tensor of {count} elements in {record.file_size} bytes"))


def _checked_program(path: Path, program: Any) -> Any:
    """The program without guards, sources and types of its own, every text in it checked."""
    program["guards_code"] = []
    graph_module = program["graph_module"]
    graph_module["metadata"] = {}
    graph_module["treespec_namedtuple_fields"] = {}
    waiting: list[Any] = [program]
    while waiting:  # without recursion: JSON may be nested deeply
        part = waiting.pop()
        values = part.items() if isinstance(part, dict) else [("", value) for value in part]
        for key, value in list(values):
            if not _WORD.fullmatch(str(key)):
                raise _runs(path, f"the name '{str(key)[:40]}'")
            if key == "metadata" and isinstance(value, dict):
                part[key] = _metadata(path, value)
            elif key in ("in_spec", "out_spec") and isinstance(value, str):
                _check_words(path, json.loads(value))
            elif isinstance(value, (dict, list)):
                waiting.append(value)
            elif isinstance(value, str):
                _check_string(path, str(key), value)
    return program


def _check_string(path: Path, key: str, value: str) -> None:
    if key == "expr_str":
        if not arithmetic(value):
            raise _runs(path, f"an expression '{value[:40]}'")
    elif key in ("target", "as_operator"):
        if not listed_target(value):
            raise _runs(path, f"the operator '{value[:80]}'")
    elif not (_TEXT if key == "as_string" else _WORD).fullmatch(value):
        raise _runs(path, f"the text '{value[:40]}'")


def _metadata(path: Path, metadata: dict[str, Any]) -> dict[str, str]:
    """Only which modules a node comes from: the layers are rebuilt from it."""
    stack = metadata.get("nn_module_stack")
    if stack is None:
        return {}
    if not _STACK.fullmatch(str(stack)):
        raise _runs(path, f"the text '{str(stack)[:40]}'")
    return {"nn_module_stack": str(stack)}


def _check_words(path: Path, content: Any) -> None:
    waiting = [content]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += [*part, *part.values()]
        elif isinstance(part, list):
            waiting += part
        elif isinstance(part, str) and not re.fullmatch(r"[\w.\[\]\", ]*", part):
            raise _runs(path, f"the text '{part[:40]}'")


def arithmetic(text: str) -> bool:
    """Return whether an expression is only arithmetic on named sizes; torch gives it to sympy, which evaluates it."""
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in nodes:
        if not isinstance(node, _NODES):
            return False
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and _CALLED.fullmatch(node.func.id)):
            return False
        if _explodes(node):
            return False
        word = node.id if isinstance(node, ast.Name) else node.value if isinstance(node, ast.Constant) else ""
        if isinstance(word, bytes) or (isinstance(word, str) and not re.fullmatch(r"(?!.*__)\w*", word)):
            return False
    return True


def _explodes(node: ast.AST) -> bool:
    """Whether a power or a shift is by more than a small number: 9**9**9 takes all time and memory."""
    by: ast.AST | None = None
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Pow, ast.LShift)):
        by = node.right
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("Pow", "PowByNatural", "FloatPow", "LShift"):
        by = node.args[1] if len(node.args) == 2 else node
    if by is None:
        return False
    return not (isinstance(by, ast.Constant) and isinstance(by.value, int) and abs(by.value) <= 16)


def _items(content: Any) -> Any:
    """Every (key, value) anywhere in JSON, without recursion."""
    waiting = [content]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield from part.items()
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _check_pickle(path: Path, name: str, data: bytes) -> None:
    """Refuse what torch's restricted reader refuses: torch itself would then unpickle it without restrictions."""
    if not data:
        return
    try:
        torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged or dangerous: either way it must not be read
        raise _runs(path, f"'{name}'") from error


def _runs(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"checkpoint '{path}' holds more than tensors and a graph ({what}), and reading that runs code from the file",
        "--allow-pickle reads it, only if you trust whoever made it; safer: save model.state_dict()",
    )
