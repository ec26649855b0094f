"""Class names from a file or a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from camviz.errors import RequestError
from camviz.io.texts import as_index, parse_json, read_text

MOST_CLASSES = 1_000_000


def read_labels(path: Path) -> tuple[str, ...]:
    """Read class names in index order: one per line, or JSON as a list, {"0": name, …} or {name: 0, …}."""
    text = read_text(path, "labels file", "--labels FILE: one class name per line, or JSON")
    if text.lstrip()[:1] in ("[", "{"):
        return _from_json(path, text)
    names = tuple(line.strip() for line in text.strip("\n").splitlines())
    if not any(names):
        raise RequestError(f"labels file '{path}' is empty", "one class name per line, or JSON")
    return names


def from_id2label(names_by_index: Mapping[Any, Any]) -> tuple[str, ...]:
    """Return the class names of a transformers configuration by index; () where they are only numbers."""
    names = {index: str(value) for key, value in names_by_index.items() if (index := as_index(str(key))) is not None}
    if not names or max(names) >= MOST_CLASSES or all(re.fullmatch(r"LABEL_\d+", text) for text in names.values()):
        return ()
    return _in_order(names)


def _shortened(digits: str) -> str:
    return digits if len(digits) <= 16 else f"{digits[:12]}… ({len(digits)} digits)"


def _in_order(names: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(names.get(index, f"class {index}") for index in range(max(names) + 1))


def _from_json(path: Path, text: str) -> tuple[str, ...]:
    hint = 'a list of names, {"0": "name", …} or {"name": 0, …}'
    content = parse_json(text, path, "labels file", hint)
    if not content:
        raise RequestError(f"labels file '{path}' is empty", hint)
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return tuple(content)
    if isinstance(content, dict):
        if all(isinstance(value, int) for value in content.values()):
            content = {str(index): name for name, index in content.items()}
        if all(key.isdecimal() for key in content):
            # Keras' ImageNet file has {"0": ["n01440764", "tench"]}: the last string is the name
            names = {as_index(k): str(v[-1] if isinstance(v, list) and v else v) for k, v in content.items()}
            known = {index: name for index, name in names.items() if index is not None}
            if len(known) < len(names) or max(known) >= MOST_CLASSES:
                largest = max(content, key=lambda key: (len(key), key))
                raise RequestError(f"labels file '{path}' has a class index of {_shortened(largest)}", hint)
            return _in_order(known)
    raise RequestError(f"labels file '{path}' has JSON in an unknown format", hint)
