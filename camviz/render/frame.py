"""What stands around a painted image: the caption below it, the color bar right of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from camviz.render import canvas, color, text
from camviz.render.bar import Bar, number
from camviz.render.encoding import suffix
from camviz.types import Figure, Look, Map, Pixels, SaliencyMap, Sign

NARROWEST = 320  # pixels a caption is given, however narrow the image


class Line(NamedTuple):
    """Facts that belong together: a title, or the small print below it."""

    parts: tuple[str, ...]
    title: bool = False

    def written(self, size: int, room: int) -> list[str]:
        """What is not empty: a title on one line, small print on as many as it needs."""
        parts = [part.strip() for part in self.parts if part.strip()]
        if parts and self.title:
            return [text.headline(parts, size, room)]
        return text.flow(parts, size, room)


def complete(kind: str, pixels: Pixels, map: SaliencyMap, look: Look) -> Figure:
    """Return the figure of drawn pixels, with the color bar and the caption that the look asks for."""
    lines = caption(map, look.sign) if look.caption else ()
    return as_figure(kind, framed(pixels, lines, bar_of(map, look) if look.colorbar else None), map, look)


def bar_of(map: SaliencyMap, look: Look) -> Bar:
    """The colors of a map under a look. The limits are those of the raw, layer-sized map."""
    return Bar(color.limits(map.values, look.sign, look.scale), color.chosen(look), look.sign)


def as_figure(kind: str, pixels: Pixels, map: SaliencyMap, look: Look) -> Figure:
    """Return pixels as a figure, with the color scale as its facts."""
    return Figure(kind, suffix(look.format), pixels, facts=bar_of(map, look).facts)


def caption(map: SaliencyMap, sign: Sign = "positive") -> tuple[Line, ...]:
    """What was explained, how sure the model was or what it gave, and how the map was made."""
    sure = number(map.score) if map.probability is None else percent(map.probability)
    facts = Line((map.method, map.layer, map.model, extremes(map.values, sign)))
    note = str(map.facts.get("note", ""))
    return Line((map.target, sure), title=True), facts, *([Line((note,))] if note else [])


def percent(share: float) -> str:
    """A probability for people; it is never rounded to nothing, nor to certainty."""
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{share:.1%}"


def extremes(values: Map, sign: Sign) -> str:
    """The raw map's maximum, its minimum where that is negative, and a word when nothing can be seen."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "no finite value"
    least, most = float(finite.min()), float(finite.max())
    words = f"max {number(most)}" + (f", min {number(least)}" if least < 0 else "")
    if least == most == 0:
        return f"{words} (zero everywhere)"
    blank = (sign == "positive" and most <= 0) or (sign == "negative" and least >= 0)
    return f"{words} (nothing {sign})" if blank else words


def text_size(width: int) -> int:
    """The size of the text that suits a block of that width, within what people can read."""
    return int(min(28, max(14, width / 50)))


def framed(
    block: Pixels, lines: Sequence[Line] = (), bar: Bar | None = None, size: int = 0, flush: bool = False
) -> Pixels:
    """The block at the top left, pixel for pixel; the bar and the lines beside and below it.

    `flush` is for a block that gets a margin afterwards: its text may touch the edges.
    """
    size = size or text_size(block.shape[1])
    gap, edge = size // 2, 0 if flush else size // 2
    if bar:
        bars = [bar.draw(block.shape[0], size), *([] if flush else [canvas.blank(1, edge)])]
        block = canvas.beside([block, canvas.beside(bars)], gap)
    if not lines:
        return block
    room = max(block.shape[1], NARROWEST) - 2 * edge
    written = []
    for line in lines:
        color = text.INK if line.title else text.FAINT
        scale = size + 2 if line.title else size
        for words in line.written(scale, room):
            written.append(canvas.fit(text.line(words, scale, color), 0, room))
    if not written:
        return block
    strip = canvas.below(written)
    return canvas.below([block, strip if flush else canvas.margin(strip, gap)], gap if flush else 0)
