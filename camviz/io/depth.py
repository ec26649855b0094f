"""Pixels of more than eight bits, signed or float: scaled by their bit depth or range, or by a given window."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BITS = (8, 10, 12, 14, 16)  # of a sensor, in files of 16 bits
Window = tuple[float, float]


def to_bytes(values: NDArray[Any], window: Window | None = None) -> tuple[NDArray[np.uint8], str]:
    """Return values (H, W) or (H, W, c) as eight bits, and what was done in words.

    Unsigned integers are scaled by the smallest of 8, 10, 12, 14 and 16 bits that holds them, floats of 0 to 1 and of
    0 to 255 as such, everything else from its minimum to its maximum. NaN becomes black.
    """
    numbers = np.asarray(values, np.float64)
    finite = np.isfinite(numbers)
    bad = "" if finite.all() else f", {int((~finite).sum())} values that are not finite are black"
    numbers = np.where(finite, numbers, np.nan)
    low, high, reason = _limits(values.dtype, numbers, window)
    scaled = (numbers - low) / ((high - low) or 1.0) * 255
    eight = np.nan_to_num(np.clip(scaled + 0.5, 0, 255)).astype(np.uint8)
    return eight, f"{_kind(values.dtype)} values scaled from {low:g}…{high:g} ({reason}){bad}"


def _limits(kind: np.dtype[Any], numbers: NDArray[np.float64], window: Window | None) -> tuple[float, float, str]:
    """Return the values of black and white, and why."""
    if window:
        return *window, "--window"
    least = float(np.nanmin(numbers)) if np.isfinite(numbers).any() else 0.0
    most = float(np.nanmax(numbers)) if np.isfinite(numbers).any() else 0.0
    if kind.kind == "b":
        return 0.0, 1.0, "boolean"
    if kind.kind in "iu" and least >= 0 and most <= 65535:
        bits = next(bits for bits in _BITS if most < 2**bits)
        return 0.0, float(2**bits - 1), f"{bits} bits"
    if kind.kind == "f" and least >= 0 and most <= 1:
        return 0.0, 1.0, "0 to 1"
    if kind.kind == "f" and least >= 0 and 1 < most <= 255:
        return 0.0, 255.0, "0 to 255"
    return least, most, "its minimum and maximum; --window LOW,HIGH sets others"


def _kind(kind: np.dtype[Any]) -> str:
    return {"f": "float", "i": "signed", "u": f"{8 * kind.itemsize}-bit", "b": "boolean"}.get(kind.kind, str(kind))
