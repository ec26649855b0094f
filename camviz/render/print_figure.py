"""Maps of several sides beside each other at the width of a journal's column: image, maps, signed differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from camviz.errors import RequestError
from camviz.render import text
from camviz.render.bar import number
from camviz.render.color import DIVERGING, SHARED, Limits, chosen, colorise, fixed_scale, settled, table
from camviz.render.frame import bar_of, extremes
from camviz.render.overlay import blend
from camviz.render.panel import scaled
from camviz.render.print_backend import INCH, POINT, Anchor, Plate, Ruled, Shown, Words, breadth, shorten
from camviz.types import Image, Look, Map, Pixels, SaliencyMap

SINGLE, DOUBLE = 85.0, 180.0  # mm: one column of a journal, and two
_GAP = 1.0  # mm between tiles
_BAR = 2.0  # mm, the height of a color bar
_LEAST, _MOST = 30.0, 1000.0  # mm
_TALLEST = 1.6  # height / width of a tile
_BESIDE = 2  # so many sides have their difference in the same line; of more it stands below


@dataclass(frozen=True)
class Style:
    """How a figure is printed: width in mm, dots per inch of images, font, size of text in points or 0: by width."""

    width: float = DOUBLE
    dpi: int = 300
    font: str = ""
    points: float = 0.0

    @property
    def size(self) -> float:
        """Of names, in points."""
        return self.points or (7.0 if self.width >= 120 else 6.0)

    @property
    def small(self) -> float:
        """Of what stands below the tiles."""
        return max(min(5.5, self.size), self.size - 1)

    def line(self, size: float) -> float:
        """The height of a line in mm."""
        return 1.3 * size * POINT

    def check(self) -> None:
        """Raise `RequestError` for what cannot be printed."""
        if not _LEAST <= self.width <= _MOST:
            raise RequestError(
                f"a figure {self.width:g} mm wide", "--width single (85 mm), double (180 mm), or 30 to 1000"
            )
        if not 30 <= self.dpi <= 1200:
            raise RequestError(f"{self.dpi} dots per inch", "--dpi 300, or 30 to 1200")


@dataclass(frozen=True, eq=False)
class Cell:
    """A map with the name of its side, and what stands below it; words that fit share a line."""

    name: str
    map: SaliencyMap = field(repr=False)
    words: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Gap:
    """A signed difference (h, w) of placed maps, in the unit of the scale; NaN where there is none."""

    name: str
    values: Map = field(repr=False)
    words: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Row:
    """One image: what it is called, its maps, and their differences from the first; room for `across` maps."""

    image: Image = field(repr=False)
    words: tuple[str, ...]
    cells: tuple[Cell, ...]
    gaps: tuple[Gap, ...] = ()
    across: int = 0


@dataclass(frozen=True, eq=False)
class _Tile:
    pixels: Pixels
    words: tuple[str, ...]
    name: str


def plate(rows: Sequence[Row], look: Look, style: Style, caption: Sequence[str] = ()) -> Plate:
    """The rows below each other, each on its own scale with its own bar under "row", else with one bar for all."""
    style.check()
    if look.scale == "run":
        look = settled(look, (cell.map.values for row in rows for cell in row.cells), SHARED)
    sheet = _Sheet(style)
    own = look.scale == "row"
    heads: list[list[str]] = []
    for row in rows:
        seen = settled(look, (cell.map.values for cell in row.cells))
        bands = _bands(row, seen, style)
        names = [[tile.name if tile else "" for tile in band] for band in bands]
        sheet.bands(bands, names != heads or len(bands) > 1)
        heads = names
        if own:
            sheet.bars(row, seen, len(bands[0]), inside=True)
    if rows and not own:
        sheet.bars(rows[0], look, len(_shape(rows[0])), inside=len(rows) == 1)
    for line in caption:
        sheet.small_print(line)
    return sheet.plate()


def _shape(row: Row) -> range:
    """The columns of a row."""
    return range(1 + max(row.across, len(row.cells)) + (len(row.gaps) if len(row.cells) <= _BESIDE else 0))


def _bands(row: Row, look: Look, style: Style) -> list[list[_Tile | None]]:
    """The tiles of a row: one line of them, or maps in the first and differences in the second."""
    columns = len(_shape(row))
    pixels = _printed(row.image, style, columns)
    height, width = pixels.shape[:2]
    maps = [_Tile(blend(pixels, scaled(cell.map, width, height), look), cell.words, cell.name) for cell in row.cells]
    gaps = [_Tile(_painted(gap.values, pixels, look), gap.words, gap.name) for gap in row.gaps]
    first: list[_Tile | None] = [_Tile(pixels, row.words, ""), *maps, *[None] * (row.across - len(maps))]
    if len(row.cells) <= _BESIDE:
        return [[*first, *gaps]]
    return [first, [None, None, *gaps]] if gaps else [first]


def _printed(image: Image, style: Style, columns: int) -> Pixels:
    """The image with as many pixels as a tile has dots."""
    import cv2

    wide = (style.width - _GAP * (columns - 1)) / columns
    share = min(wide / image.width, _TALLEST * wide / image.height) * style.dpi / INCH
    size = max(1, round(image.width * share)), max(1, round(image.height * share))
    how = cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image.pixels, size, interpolation=how), np.uint8)


def _painted(values: Map, pixels: Pixels, look: Look) -> Pixels:
    """A difference over the gray image, from -V over nothing to V; where there is none the image, in gray."""
    import cv2

    height, width = pixels.shape[:2]
    gray = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    wide = cv2.resize(np.nan_to_num(values), (width, height), interpolation=cv2.INTER_LINEAR)
    nowhere = cv2.resize(np.isnan(values).astype(np.float32), (width, height)) > 0
    colors = colorise(wide, difference_limits(look), DIVERGING)
    alpha = max(look.alpha, 0.75)
    painted = np.asarray(cv2.addWeighted(gray, 1 - alpha, colors, alpha, 0), np.uint8)
    painted[nowhere] = gray[nowhere] // 2 + 127
    return painted


def difference_limits(look: Look) -> Limits:
    """Differences have the scale of the maps: full color where they differ by as much as the strongest is strong."""
    top = fixed_scale(look.scale)
    top = 1.0 if top is None else max(top, float(np.finfo(np.float32).tiny))
    return Limits(-top, top)


class _Sheet:
    """Items put on paper from top to bottom."""

    def __init__(self, style: Style) -> None:
        self.style, self.y = style, 0.0
        self.blank = 0.0  # where the tiles of the last band begin
        self.items: list[Shown | Words | Ruled] = []

    def plate(self) -> Plate:
        """What was put on it."""
        return Plate(self.style.width, max(self.y, 1.0), tuple(self.items))

    def column(self, number: int, columns: int) -> tuple[float, float]:
        """(left, width) of a column in mm."""
        width = (self.style.width - _GAP * (columns - 1)) / columns
        return number * (width + _GAP), width

    def bands(self, bands: Sequence[Sequence[_Tile | None]], heads: bool) -> None:
        """Lines of tiles, with names above them and words below."""
        for band in bands:
            if heads and any(tile and tile.name for tile in band):
                self._heads(band)
            self._tiles(band)
            self._words(band)
            self.y += _GAP

    def _heads(self, band: Sequence[_Tile | None]) -> None:
        size, room = self.style.size, self.column(0, len(band))[1]
        names = [flowed(tile.name.split(" "), size, room, self.style.font, " ") if tile else [] for tile in band]
        self.y += max(map(len, names)) * self.style.line(size)
        for place, lines in enumerate(names):
            left, width = self.column(place, len(band))
            for above, line in enumerate(reversed(lines)):
                baseline = self.y - 0.9 - above * self.style.line(size)
                self.items.append(Words(left + width / 2, baseline, line, size, "middle"))

    def _tiles(self, band: Sequence[_Tile | None]) -> None:
        tallest, self.blank = 0.0, self.y
        for place, tile in enumerate(band):
            if tile is None:
                continue
            left, room = self.column(place, len(band))
            down, across = tile.pixels.shape[:2]
            width = min(room, _TALLEST * room * across / down)
            height = width * down / across
            self.items.append(Shown((left + (room - width) / 2, self.y, width, height), tile.pixels))
            tallest = max(tallest, height)
        self.y += tallest

    def _words(self, band: Sequence[_Tile | None]) -> None:
        size, font = self.style.small, self.style.font
        most, room = 0, self.column(0, len(band))[1]
        joined = [" · ".join(filter(None, tile.words)) for tile in band if tile]
        together = all(breadth(words, size, font) <= room for words in joined)
        for place, tile in enumerate(band):
            left, width = self.column(place, len(band))
            parts = [part for part in tile.words if part] if tile else []
            wrapped = [line for part in parts for line in flowed(part.split(" "), size, width, font, " ")]
            lines = [" · ".join(parts)] if together else wrapped
            for i, line in enumerate(lines):
                baseline = self.y + 0.3 + self.style.line(size) * (i + 0.85)
                self.items.append(
                    Words(left + width / 2, baseline, line, size, "middle", text.INK if i == 0 else text.FAINT)
                )
            most = max(most, len(lines))
        self.y += 0.3 + most * self.style.line(size)

    def bars(self, row: Row, look: Look, columns: int, inside: bool = False) -> None:
        """The colors of the maps, and those of the differences, in numbers; `inside`: where the last band is empty."""
        bar = bar_of(row.cells[0].map, look)
        marks = bar.marks()
        if fixed_scale(look.scale) is None:  # each its own
            marks = [(0.0, "-max"), (0.5, "0"), (1.0, "max")] if look.sign == "both" else [(0.0, "0"), (1.0, "max")]
        low, high = difference_limits(look)
        differences = [(0.0, number(low)), (0.5, "0"), (1.0, number(high))]
        step = _BAR + self.style.line(self.style.small) + _GAP
        left, width = self.column(1, columns)
        if inside and row.gaps and len(row.cells) > _BESIDE:
            for line, (name, colors, ends) in enumerate(
                [("maps", chosen(look), marks), ("differences", DIVERGING, differences)]
            ):
                at = self.blank + line * step
                self.items.append(Words(left - 2 * _GAP, at + _BAR, name, self.style.small, "end"))
                self._bar(left, width, at, colors, ends)
            self.y = max(self.y, self.blank + 2 * step)
            return
        last = self.column(min(len(row.cells), 2), columns)
        self._bar(left, last[0] + last[1] - left, self.y, chosen(look), marks)
        if row.gaps:
            left, wide = self.column(min(3, columns - 1), columns)
            self._bar(left, wide, self.y, DIVERGING, differences)
        self.y += step

    def _bar(self, left: float, width: float, top: float, colormap: str, marks: Sequence[tuple[float, str]]) -> None:
        steps = np.linspace(0, 255, max(256, round(width / INCH * self.style.dpi)))
        strip = table(colormap)[np.rint(steps).astype(np.intp)][None]
        self.items.append(Shown((left, top, width, _BAR), np.repeat(strip, 4, 0)))
        size = self.style.small
        for place, words in marks:
            anchor: Anchor = "start" if place == 0 else "end" if place == 1 else "middle"
            at = left + place * width
            self.items.append(Words(at, top + _BAR + 0.85 * self.style.line(size), words, size, anchor))

    def small_print(self, words: str) -> None:
        """Words over the whole width, on as many lines as they need."""
        size = self.style.small
        for line in flowed(words.split(" "), size, self.style.width, self.style.font, " "):
            self.y += self.style.line(size)
            self.items.append(Words(0, self.y - 0.25 * self.style.line(size), line, size, "start", text.FAINT))


def flowed(parts: Sequence[str], size: float, room: float, font: str, separator: str = " · ") -> list[str]:
    """The parts on as few lines as fit into `room` mm, in order; one that is too long for a line is shortened."""
    lines: list[str] = []
    for part in parts:
        if not part:
            continue
        if lines and breadth(lines[-1] + separator + part, size, font) <= room:
            lines[-1] += separator + part
        else:
            lines.append(shorten(part, size, room, font))
    return lines


def told(map: SaliencyMap, look: Look) -> tuple[str, ...]:
    """The raw extremes of a map, for below its tile, and a word when nothing can be seen."""
    words, bracket, reason = extremes(map.values, look.sign).partition(" (")
    return words, reason.rstrip(")") if bracket else ""
