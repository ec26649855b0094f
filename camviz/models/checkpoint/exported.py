"""`torch.export` archives (.pt2): a graph of operators with its weights.

Reading one through torch may unpickle and evaluate what is in it, so it is looked at first, record by record.
"""

from __future__ import annotations

import ast
import io
import json
import logging
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from camviz.errors import CheckpointError
from camviz.hooks.capture import first_tensor
from camviz.models.checkpoint.files import damaged

_CALLED = re.compile(  # what torch writes into the sizes of a program
    r"Symbol|Integer|Rational|Float|Add|Mul|Pow|Max|Min|Mod|PythonMod|FloorDiv|ModularIndexing|Where|CleanDiv|"
    r"CeilToInt|FloorToInt|CeilDiv|LShift|RShift|PowByNatural|FloatPow|FloatTrueDiv|IntTrueDiv|IsNonOverlappingAnd"
    r"DenseIndicator|TruncToFloat|TruncToInt|RoundToInt|RoundDecimal|ToFloat|Identity|OpaqueUnaryFn_\w+|floor|ceiling"
)
_NODES = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.Name, ast.Constant, ast.Call, ast.keyword,
    ast.operator, ast.unaryop, ast.cmpop, ast.boolop, ast.Load,
)  # fmt: skip


def read_exported(path: Path, allow_pickle: bool) -> Any:
    """The `ExportedProgram` in the archive. Raises `CheckpointError` where reading it would run code."""
    if not allow_pickle:
        _look_through(path)
    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.load(str(path))
    except Exception as error:  # its reader fails in many ways
        raise damaged(path, error) from error
    finally:
        logger.setLevel(level)


def _look_through(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = entry.filename
            if name.endswith(".json"):
                _check_json(path, name, archive.read(entry))
            elif name.endswith(".pt"):
                _check_pickle(path, name, archive.read(entry))
            elif name.endswith((".so", ".pkl", ".dll", ".pyd")) or "/aotinductor/" in name:
                raise _runs(path, f"'{name}'")


def _check_json(path: Path, name: str, text: bytes) -> None:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise damaged(path, error) from error
    for key, value in _items(content):
        if (key == "use_pickle" and value) or (key == "path_name" and "_obj" in str(value)):
            raise _runs(path, f"a pickle in '{name}'")
        if key == "expr_str" and not arithmetic(str(value)):
            raise _runs(path, f"an expression '{str(value)[:40]}'")


def arithmetic(text: str) -> bool:
    """Whether an expression is arithmetic of named sizes and nothing else: sympy evaluates what it is given."""
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
    """Whether a power or a shift is by more than a small number: 9**9**9 takes all time and memory there is."""
    by: ast.AST | None = None
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Pow, ast.LShift)):
        by = node.right
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("Pow", "PowByNatural", "FloatPow", "LShift"):
        by = node.args[1] if len(node.args) == 2 else node
    if by is None:
        return False
    return not (isinstance(by, ast.Constant) and isinstance(by.value, int) and abs(by.value) <= 16)


def _items(content: Any) -> Any:
    """Every (key, value) anywhere in JSON, without recursion: it may be nested deeply."""
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one.items()
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _check_pickle(path: Path, name: str, data: bytes) -> None:
    """Sample inputs and the like: torch itself would go on to unpickle whatever its safe reader refuses."""
    if not data:
        return
    try:
        torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged or dangerous: either way it is not to be read
        raise _runs(path, f"'{name}'") from error


def _runs(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"checkpoint '{path}' holds more than tensors and a graph ({what}), and reading that runs code from the file",
        "--allow-pickle reads it, only if you trust whoever made it; safer: save model.state_dict()",
    )


def input_of(program: Any) -> tuple[int, ...]:
    """(channels, height, width) of the images that the program was exported with; () when it takes none."""
    names = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in names:
            sizes = node.meta["val"].shape
            return tuple(int(size) for size in sizes[1:]) if len(sizes) == 4 else ()  # asking the batch would fix it
    return ()


def modules_of(program: Any, shape: tuple[int, ...]) -> tuple[nn.Module, bool]:
    """(the program as a model, whether it takes several images at a time and so can be hooked)."""
    module: nn.Module = torch.export.unflatten(program)
    module = module.eval() if _can_eval(module) else module
    one = torch.rand(1, *shape)
    try:
        with torch.no_grad():
            both = first_tensor(module(torch.cat([one, one])))
        return module, both is not None and both.shape[0] == 2
    except Exception:  # exported for one image
        return program.module(), False


def _can_eval(module: nn.Module) -> bool:
    """An exported graph has no modes; some of torch's classes for it refuse to be told one."""
    try:
        module.eval()
    except NotImplementedError:
        return False
    return True
