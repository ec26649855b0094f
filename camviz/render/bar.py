"""The color bar: which value has which color, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from camviz.render import canvas, text
from camviz.render.color import Limits, table
from camviz.types import Pixels, Sign

_TICK = (90, 90, 90)


@dataclass(frozen=True)
class Bar:
    """What a color bar has to say. Under "negative" its numbers are the raw ones, so they fall from 0."""

    within: Limits
    colormap: str
    sign: Sign = "positive"

    @property
    def facts(self) -> dict[str, Any]:
        """What the colors mean, for programs."""
        return {"colormap": self.colormap, "sign": self.sign, "low": self.within.low, "high": self.within.high}

    def marks(self) -> list[tuple[float, str]]:
        """(place from 0, the lowest color, to 1; number) for the ends, and for 0 in the middle."""
        low, high = self.within
        if self.sign == "both":
            return [(0.0, number(low)), (0.5, "0"), (1.0, number(high))]
        if high <= low:
            return [(0.0, number(low))]
        return [(0.0, number(low)), (1.0, number(-high if self.sign == "negative" else high))]

    def draw(self, height: int, size: int) -> Pixels:
        """The bar, at least that high, its numbers right of it; `size` is that of the text."""
        marks, line = self.marks(), text.line_height(size)
        height = max(height, (2 * len(marks) - 1) * line)
        thick, tick = max(10, size), max(3, size // 4)
        places = np.rint(np.linspace(255, 0, height)).astype(np.intp)
        colors = np.repeat(table(self.colormap)[places][:, None], thick, axis=1)
        labels = [text.line(label, size) for _, label in marks]
        strip = canvas.blank(height, 2 * tick + max(label.shape[1] for label in labels))
        for (place, _), label in zip(marks, labels, strict=True):
            row = round((1 - place) * (height - 1))
            strip[row, :tick] = _TICK
            top = min(max(row - line // 2, 0), height - line)
            strip[top : top + line, 2 * tick : 2 * tick + label.shape[1]] = label
        return canvas.beside([colors, strip])


def number(value: float) -> str:
    """A value in few letters: 0, 0.012, 3.4, 12345, 1.2e-05."""
    size = abs(value)
    if size <= float(np.finfo(np.float32).tiny):
        return "0"
    if 1e-3 <= size < 999.5:
        return f"{value:.3g}"
    if 999.5 <= size < 99999.5:
        return f"{value:.0f}"
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{digits.removesuffix('.0')}e{power}"
