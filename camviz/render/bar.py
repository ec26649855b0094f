"""Color bars: which value has which color."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from camviz.render import color
from camviz.types import Pixels, Sign

_GRAY, _LIGHT = 150, 200  # behind the translucent colors of an overlay, and of a difference


@dataclass(frozen=True)
class Bar:
    """A color scale with its label. With the sign "negative" its numbers are the raw ones, so they fall from 0.

    `opacity` is that of an overlay (None for opaque colors): the bar shows the colors as they are seen over gray.
    `relative` bars belong to several maps, each normalized to its own extreme. A horizontal bar spans the columns
    from `first` to `last`.
    """

    within: color.Limits
    colormap: str
    sign: Sign = "positive"
    label: str = ""
    opacity: color.Opacity | None = None
    relative: bool = False
    first: int = 0
    last: int | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """The color scale for JSON."""
        return {"colormap": self.colormap, "sign": self.sign, "low": self.within.low, "high": self.within.high}

    def marks(self) -> list[tuple[float, str]]:
        """Return (position from 0, the lowest color, to 1; number) of the ends and the middle."""
        low, high = self.within
        if self.relative:
            return [(0.0, "−max"), (0.5, "0"), (1.0, "max")] if self.sign == "both" else [(0.0, "0"), (1.0, "max")]
        if self.sign == "both":
            return [(0.0, number(low)), (0.5, "0"), (1.0, number(high))]
        if high <= low:
            return [(0.0, number(low))]
        factor = -1 if self.sign == "negative" else 1
        return [(at, number(factor * (low + at * (high - low)))) for at in (0.0, 0.5, 1.0)]

    def strip(self) -> Pixels:
        """Return the colors (256, 3), the lowest first."""
        if self.opacity is None:
            return color.table(self.colormap)
        colors, keep = color.blend_tables(self.colormap, self.opacity, self.sign == "both")
        return np.asarray(
            colors + np.rint(keep * np.float32((_LIGHT if self.sign == "both" else _GRAY) / 255)), np.uint8
        )


def number(value: float) -> str:
    """Format a value with few characters: 0, 0.012, 3.4, 12345, 1.2e−05."""
    size = abs(value)
    if size <= float(np.finfo(np.float32).tiny):
        return "0"
    if 1e-3 <= size < 999.5:
        text = f"{value:.3g}"
    elif 999.5 <= size < 99999.5:
        text = f"{value:.0f}"
    else:
        digits, _, power = f"{value:.1e}".partition("e")
        text = f"{digits.removesuffix('.0')}e{power}"
    return text.replace("-", "−")


def percent(share: float) -> str:
    """Format a probability; it is never rounded to 0 or 100 %."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %"
