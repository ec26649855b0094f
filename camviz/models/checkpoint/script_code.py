"""Check the code of a TorchScript archive before torch reads it, and its graph before it runs.

Loading already runs code (`__setstate__`), so the text is checked first. torch finds entries by name whatever their
case, and its language has operators as functions (`torch.relu(x)`, `ops.image.write_file(…)`) and as methods of
tensors (`x.relu()`); every such name in every entry is compared with the list, without trusting a parser.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch

from camviz.errors import CheckpointError
from camviz.models.checkpoint.files import bytes_text, damaged
from camviz.models.checkpoint.operators import listed

_CODE = 64_000_000  # bytes of source text
_CALL = re.compile(rb"(\w+)\s*\(")
_FUNCTION = re.compile(rb"(?<![\w.])torch\s*\.\s*(\w+)\s*\(")  # `__torch__.torch.nn` is a module
_OPS = re.compile(rb"(?<![\w.])ops\b")  # `torchvision.ops.misc` is the name of a module
_OPERATOR = re.compile(_OPS.pattern + rb"\s*\.\s*(\w+)\s*\.\s*(\w+)")
_CLASSES = re.compile(rb"\bclasses\s*\.\s*(\w+)")
_STRING = re.compile(rb"\"((?:\\.|[^\"\\\n])*)\"|'((?:\\.|[^'\\\n])*)'")
_ESCAPED = re.compile(r"\\[xuUN0-7]")  # another way to write a letter of a name
_HIDING = re.compile(rb"[#\\\"']")  # outside strings: torch writes none of them, and they could hide a name
_STATEMENTS = {"fork", "wait", "print", "breakpoint", "exec", "eval", "open"}
_GLOBALS = re.compile(
    r"__torch__(\.[\w.]+)? \w+|torch\._utils _rebuild_\w+|torch\.jit\._pickle \w+|torch \w+Storage|torch\.storage \w+|"
    r"collections OrderedDict|torch (device|Size|\w+)|builtins (int|float|complex|bool|str|list|dict|tuple)"
)


def check_code(path: Path) -> None:
    """Raise `CheckpointError` when the archive holds code, classes or operators that are not listed."""
    reader = torch._C.PyTorchFileReader(str(path))  # torch's own view of the archive
    names = reader.get_all_records()
    if len({name.casefold() for name in names}) < len(names) or len(names) != _entries(path):
        raise damaged(path, ValueError("its entries are ambiguous"))
    if any(name.casefold() == "model.json" for name in names):
        raise _refused(path, "the format of torch before 1.1")
    code = 0
    for name in names:
        place = name.casefold()
        if place.endswith(".pkl"):
            _check_globals(path, reader.get_record(name))
        elif not place.startswith(("data/", "constants/", "tensors/")) and not place.endswith(".debug_pkl"):
            text = reader.get_record(name)
            code += len(text)
            if code > _CODE:
                raise CheckpointError(f"checkpoint '{path}' holds over {bytes_text(_CODE)} of code", "it is no model")
            _check_text(path, text)


def _entries(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return sum(not entry.is_dir() for entry in archive.infolist())


def _check_text(path: Path, text: bytes) -> None:
    """Whatever is called like an operator must be listed, with any white space in between."""
    if b'"""' in text or b"'''" in text:
        raise _refused(path, "a string over several lines")
    strings = {(double or single).decode("latin-1") for double, single in _STRING.findall(text)}
    text = _STRING.sub(b" ", text)
    called = {name.decode() for name in _CALL.findall(text)}
    if b"getattr" in text:
        called |= {name for name in strings if name in _refused_names() or _ESCAPED.search(name)}
    refused = sorted(name for name in called if name in _refused_names() | _STATEMENTS or _ESCAPED.search(name))
    functions = {name.decode() for name in _FUNCTION.findall(text)}
    refused += sorted(name for name in functions if not (listed("aten", name) or listed("prim", name)))
    operators = {(space.decode(), name.decode()) for space, name in _OPERATOR.findall(text)}
    refused += [f"{space}::{name}" for space, name in sorted(operators) if not listed(space, name)]
    refused += [f"classes.{name.decode()}" for name in _CLASSES.findall(text) if name != b"quantized"]
    if len(_OPS.findall(text)) > len(_OPERATOR.findall(text)):
        refused.append("ops")
    if _HIDING.search(text):
        refused.append("a comment or an escape sequence")
    if refused:
        raise _refused(path, f"'{refused[0]}'")


@cache
def _refused_names() -> frozenset[str]:
    """The operators that tensors have as methods, or the language as functions, and that are not listed."""
    names = {tuple(schema.name.split("::", 1)) for schema in torch._C._jit_get_all_schemas()}
    listed_names = {name for namespace, name in names if listed(namespace, name)}
    return frozenset(name for namespace, name in names if namespace in ("aten", "prim")) - listed_names


def _check_globals(path: Path, data: bytes) -> None:
    """Refuse classes that the state of a TorchScript model does not have. `pickletools` reads, and makes nothing."""
    strings: list[str] = []
    for opcode, argument, _ in pickletools.genops(io.BytesIO(data)):
        name = ""
        if opcode.name in ("GLOBAL", "INST"):
            name = str(argument)
        elif opcode.name == "STACK_GLOBAL":
            name = " ".join(strings[-2:])
        elif isinstance(argument, str):
            strings.append(argument)
        if name and (not _GLOBALS.fullmatch(name) or _foreign_class(name)):
            raise _refused(path, f"'{name.replace(' ', '.')}'")


def _foreign_class(name: str) -> bool:
    """Whether the name is of a class that a C++ library registered, other than those of quantized layers."""
    return ".classes." in name and ".classes.quantized" not in name


def check_graph(path: Path, script: Any) -> None:
    """Raise `CheckpointError` when a forward of the loaded model would run an operator that is not listed."""
    for module in script.modules():
        for method in module._c._method_names():
            for kind in _kinds(module._c._get_method(method).graph):
                namespace, _, name = kind.partition("::")
                if not listed(namespace, name):
                    raise _refused(path, f"'{kind}'")


def _kinds(block: Any) -> Iterator[str]:
    """The operators of a graph, and of the blocks and functions in it."""
    for node in block.nodes():
        yield node.kind()
        for inner in node.blocks():
            yield from _kinds(inner)


def _refused(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"checkpoint '{path}' is TorchScript that uses {what}, which may touch files or run code",
        "--allow-pickle runs it, only if you trust whoever made it; safer: save model.state_dict()",
    )
