"""Parse option values of several parts; each function raises `RequestError` with a value that works."""

from __future__ import annotations

from collections.abc import Sequence

from camviz.errors import RequestError
from camviz.io.texts import as_index


def key_values(option: str, texts: Sequence[str] | None, example: str) -> tuple[tuple[str, str], ...]:
    """Return the values of a repeated option as (name, text)."""
    parts = [tuple(part.strip() for part in text.partition("=")) for text in texts or ()]
    for key, equals, value in parts:
        if not equals or not key.replace(".", "_").replace("-", "_").isidentifier() or not value:
            raise RequestError(f"{option} '{key}{equals}{value}' is not NAME=VALUE", f"{option} {example}")
    return tuple((key, value) for key, _, value in parts)


def size(text: str | None) -> tuple[int, int] | None:
    """Return an --input-size as (width, height)."""
    if text is None:
        return None
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) > 2 or not all(as_index(part.strip()) for part in parts):
        raise RequestError(f"--input-size '{text}' is not a size", "--input-size 224 or --input-size 320x224")
    width, height = int(parts[0]), int(parts[-1])
    return width, height


def pair(option: str, text: str | None) -> tuple[float, float] | None:
    """Return a --range or --window as (low, high)."""
    values = numbers(option, text)
    if values is None:
        return None
    if len(values) != 2 or values[1] <= values[0]:
        raise RequestError(f"{option} '{text}' is not LOW,HIGH", f"{option} 0,255")
    return values[0], values[1]


def numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Return a --mean or --std as numbers."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise RequestError(f"{option} '{text}' is not a list of numbers", f"{option} 0.5,0.5,0.5") from error
