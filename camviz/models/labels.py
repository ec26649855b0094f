"""Class names from a file or a configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from camviz.errors import RequestError


def read_labels(path: Path) -> tuple[str, ...]:
    """Read class names in index order: one per line, or JSON as a list, {"0": name, …} or {name: 0, …}."""
    if not path.is_file():
        raise RequestError(f"no labels file '{path}'", "--labels FILE: one class name per line, or JSON")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"labels file '{path}' is not UTF-8 text", "save it as UTF-8") from error
    if text.lstrip()[:1] in ("[", "{"):
        return _from_json(path, text)
    names = tuple(line.strip() for line in text.strip("\n").splitlines())
    if not any(names):
        raise RequestError(f"labels file '{path}' is empty", "one class name per line, or JSON")
    return names


def from_id2label(names_by_index: Mapping[Any, Any]) -> tuple[str, ...]:
    """Return the class names of a transformers configuration by index; () where they are only numbers."""
    names = {int(key): str(value) for key, value in names_by_index.items() if str(key).isdigit()}
    if not names or all(re.fullmatch(r"LABEL_\d+", text) for text in names.values()):
        return ()
    return tuple(names.get(index, f"class {index}") for index in range(max(names) + 1))


def _from_json(path: Path, text: str) -> tuple[str, ...]:
    hint = 'a list of names, {"0": "name", …} or {"name": 0, …}'
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise RequestError(f"labels file '{path}' is not valid JSON: {error}", hint) from error
    if not content:
        raise RequestError(f"labels file '{path}' is empty", hint)
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return tuple(content)
    if isinstance(content, dict):
        if all(isinstance(value, int) for value in content.values()):
            content = {str(index): name for name, index in content.items()}
        if all(key.isdigit() for key in content):
            # Keras' ImageNet file has {"0": ["n01440764", "tench"]}: the last string is the name
            names = {int(k): v[-1] if isinstance(v, list) and v else v for k, v in content.items()}
            return tuple(str(names.get(i, f"class {i}")) for i in range(max(names, default=-1) + 1))
    raise RequestError(f"labels file '{path}' has JSON in an unknown format", hint)
