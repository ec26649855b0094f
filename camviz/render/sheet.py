"""Lay out a composed figure in millimeters: tiles with titles and notes, row labels, color bars, a caption."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from camviz.render import fonts
from camviz.render.bar import Bar
from camviz.types import Pixels, Style

Color = tuple[int, int, int]
Anchor = Literal["start", "middle", "end"]
INK, FAINT = (30, 30, 30), (90, 90, 90)
MARGIN = 1.0  # mm on all sides
WIDEST, NARROWEST = 180.0, 60.0  # mm, of a figure without a given width
_GAP = 1.5  # mm between tiles
_TALL = 1.6  # height / width of a tile, at most
_COLUMN = 26.0  # mm, the narrowest column of a figure without a given width
_BAR = 2.0  # mm, the thickness of a color bar
_TICK = 0.7  # mm
_LABEL = 0.28  # of the width: the room for row labels
_SMALLEST = 7.0  # mm, of a tile in a table


@dataclass(frozen=True, eq=False)
class Tile:
    """An image with a title above it and notes below it. `framed` draws a hairline around it."""

    pixels: Pixels = field(repr=False)
    title: str = ""
    notes: tuple[str, ...] = ()
    framed: bool = False


@dataclass(frozen=True, eq=False)
class Row:
    """Tiles from left to right (None leaves a gap), a label before them, and horizontal color bars below them."""

    tiles: tuple[Tile | None, ...]
    label: str = ""
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True, eq=False)
class Sheet:
    """A figure: rows of tiles, a title above, a vertical color bar at the right, lines of small print below.

    `tile` is the width of a tile in mm, at most, where the width of the figure is not given. Separate `caption`
    entries share a line where they fit.
    """

    rows: tuple[Row, ...]
    title: str = ""
    caption: tuple[str, ...] = ()
    bar: Bar | None = None
    tile: float = 88.0


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels in a rectangle: left, top, width, height in mm."""

    box: tuple[float, float, float, float]
    pixels: Pixels = field(repr=False)


@dataclass(frozen=True)
class Words:
    """A line of text at (x, y) in mm: the start, middle or end of its baseline; `up` turns it by 90°."""

    x: float
    y: float
    text: str
    points: float
    anchor: Anchor = "start"
    color: Color = INK
    up: bool = False


@dataclass(frozen=True)
class Rule:
    """A filled rectangle: left, top, width, height in mm."""

    box: tuple[float, float, float, float]
    color: Color = INK


@dataclass(frozen=True, eq=False)
class Page:
    """Everything on a figure of width × height in mm, in drawing order."""

    width: float
    height: float
    items: tuple[Picture | Words | Rule, ...] = field(repr=False)


def title_points(style: Style) -> float:
    """Return the size of titles in points."""
    return style.points or 7.0


def note_points(style: Style) -> float:
    """Return the size of notes and numbers in points: at least 6.2, or the size that was chosen."""
    return min(title_points(style), max(6.2, title_points(style) - 0.8))


def table(tiles: Sequence[Tile], style: Style, first: Tile | None = None) -> tuple[Row, ...]:
    """Return tiles of one shape as rows of a grid about as wide as high, with few gaps; `first` stands before them.

    No more tiles are in a row than their notes have room for.
    """
    if not tiles:
        return (Row((first,)),)
    wide = max(fonts.width(max(tile.notes, key=len, default=""), note_points(style), style.font) for tile in tiles)
    room = (style.width or WIDEST) - 2 * MARGIN - 25
    most = max(1, min(len(tiles), int(room / (max(wide, _SMALLEST) + _GAP)) - (first is not None)))
    high, across = tiles[0].pixels.shape[:2]
    square = max(1.0, math.sqrt(len(tiles) * 1.2 * high / across))
    candidates = range(1, most + 1)
    best = min(candidates, key=lambda count: abs(math.log(count / square)) + 3 * (-len(tiles) % count) / len(tiles))
    rows = []
    for start in range(0, len(tiles), best):
        row = [*tiles[start : start + best], *[None] * (best - len(tiles[start : start + best]))]
        lead = [] if first is None else [first if start == 0 else None]
        rows.append(Row((*lead, *row)))
    return tuple(rows)


def arrange(sheet: Sheet, style: Style) -> Page:
    """Return the page of a sheet. No text leaves the page or covers a tile: text is wrapped, then shortened."""
    return _Layout(sheet, style).page()


class _Layout:
    """Places the items of a sheet from top to bottom; `y` is the current position."""

    def __init__(self, sheet: Sheet, style: Style) -> None:
        self.sheet, self.style = sheet, style
        self.items: list[Picture | Words | Rule] = []
        self.y = MARGIN
        self.columns = max((len(row.tiles) for row in sheet.rows), default=0) or 1
        full = style.width or WIDEST
        room = full - 2 * MARGIN - self._bar_room()
        self.label = min(max(map(self._label_width, sheet.rows), default=0.0), _LABEL * full)
        column = (room - self.label - _GAP * (self.columns - 1)) / self.columns
        if not style.width:
            column = min(column, sheet.tile, max(_COLUMN, self._natural(min(column, sheet.tile))))
        self.column = column
        content = 2 * MARGIN + self._bar_room() + self.label + self.columns * column + _GAP * (self.columns - 1)
        self.width = style.width or max(NARROWEST, content)
        self.left = MARGIN + self.label + (self.width - content) / 2

    def page(self) -> Page:
        """Place everything."""
        sheet = self.sheet
        if sheet.title:
            self._paragraph([sheet.title], title_points(self.style) + 1, INK, lines=2)
            self.y += 0.5
        top = 0.0
        before: list[str] = []
        for row in sheet.rows:
            titles = [tile.title if tile else "" for tile in row.tiles]
            self._titles(titles if titles != before else [])
            before, top = titles, top or self.y
            self._tiles(row)
            self._bars(row.bars)
            self.y += _GAP
        if sheet.bar:
            self._side_bar(sheet.bar, top, self.bottom)
        if sheet.caption:
            self._paragraph(sheet.caption, note_points(self.style), FAINT)
        return Page(self.width, max(self.y, MARGIN) + MARGIN, tuple(self.items))

    def _line(self, points: float) -> float:
        """Return the height of a line in mm."""
        return 1.25 * points * fonts.POINT

    def _text(self, x: float, text: str, points: float, anchor: Anchor = "start", color: Color = INK) -> None:
        """Place a line of text whose top is at `y`."""
        baseline = self.y + 0.95 * points * fonts.POINT
        self.items.append(Words(x, baseline, text, points, anchor, color))

    def _wrapped(self, text: str, points: float, room: float, lines: int) -> list[str]:
        """Wrap a text to so many lines; what is left over is shortened into the last one."""
        font = self.style.font
        wrapped = fonts.wrap([text], points, room, font)
        if len(wrapped) <= lines:
            return wrapped
        rest = text[len(" ".join(wrapped[: lines - 1])) :].strip()
        return [*wrapped[: lines - 1], fonts.shorten(rest, points, room, font)]

    def _paragraph(self, parts: Sequence[str], points: float, color: Color, lines: int = 0) -> None:
        """Place text over the whole width."""
        room = self.width - 2 * MARGIN
        wrapped = fonts.wrap(parts, points, room, self.style.font)
        if lines and len(wrapped) > lines:
            wrapped = self._wrapped(" ".join(parts), points, room, lines)
        for line in wrapped:
            self._text(MARGIN, line, points, "start", color)
            self.y += self._line(points)

    def _natural(self, column: float) -> float:
        """Return the width of the widest tile when no tile is higher than `_TALL` columns, in mm."""
        shapes = [tile.pixels.shape for row in self.sheet.rows for tile in row.tiles if tile]
        return max((min(column, _TALL * column * wide / high) for high, wide, _ in shapes), default=column)

    def _label_width(self, row: Row) -> float:
        return fonts.width(row.label, title_points(self.style), self.style.font) + 1.5 if row.label else 0.0

    def _place(self, column: int) -> float:
        """Return the left edge of a column."""
        return self.left + column * (self.column + _GAP)

    def _titles(self, titles: Sequence[str]) -> None:
        points = title_points(self.style)
        wrapped = [self._wrapped(title, points, self.column, 3) for title in titles]
        most = max(map(len, wrapped), default=0)
        start = self.y
        for column, lines in enumerate(wrapped):
            self.y = start + (most - len(lines)) * self._line(points)
            for line in lines:
                self._text(self._place(column) + self.column / 2, line, points, "middle")
                self.y += self._line(points)
        self.y = start + most * self._line(points)

    def _tiles(self, row: Row) -> None:
        limit, points = _TALL * self.column, note_points(self.style)
        boxes = []
        for column, tile in enumerate(row.tiles):
            if tile:
                high, wide = tile.pixels.shape[:2]
                width = min(self.column, limit * wide / high)
                left = self._place(column) + (self.column - width) / 2
                boxes.append((left, self.y, width, width * high / wide))
                self.items.append(Picture(boxes[-1], tile.pixels))
                self.items += _hairline(boxes[-1]) if tile.framed else []
        height = max((box[3] for box in boxes), default=0.0)
        if row.label:
            lines = self._wrapped(row.label, title_points(self.style), self.label - 1.5, 4)
            start, self.y = self.y, self.y + max(0.0, height - len(lines) * self._line(title_points(self.style))) / 2
            for line in lines:
                self._text(self.left - 1.5, line, title_points(self.style), "end")
                self.y += self._line(title_points(self.style))
            height = max(height, self.y - start)
            self.y = start
        self.y += height
        self.bottom = self.y
        self._notes([tile.notes if tile else () for tile in row.tiles], points)

    def _notes(self, notes: Sequence[Sequence[str]], points: float) -> None:
        if not any(map(any, notes)):
            return
        self.y += 0.4
        start, font, ends = self.y, self.style.font, [self.y]
        joined = [" · ".join(filter(None, parts)) for parts in notes]
        together = all(fonts.width(text, points, font) <= self.column for text in joined)
        for column, parts in enumerate(notes):
            texts = [joined[column]] if together else [part for part in parts if part]
            lines = [line for text in texts for line in self._wrapped(text, points, self.column, 3)]
            self.y = start
            for number, line in enumerate(lines):
                middle = self._place(column) + self.column / 2
                self._text(middle, line, points, "middle", INK if number == 0 else FAINT)
                self.y += self._line(points)
            ends.append(self.y)
        self.y = max(ends)

    # color bars

    def _bars(self, bars: Sequence[Bar]) -> None:
        """Place horizontal color bars under their columns."""
        points, start, ends = note_points(self.style), self.y + 0.8, [self.y]
        for bar in bars:
            self.y = start
            last = self.columns - 1 if bar.last is None else bar.last
            left, width = self._place(bar.first), self._place(last) + self.column - self._place(bar.first)
            self.items.append(Picture((left, self.y, width, _BAR), bar.strip()[None]))
            self.items += _hairline((left, self.y, width, _BAR))
            self.y += _BAR
            for at, text in self._marks(bar, width):
                x = left + at * width
                self.items.append(Rule((x - 0.1, self.y, 0.2, _TICK), INK))
                anchor: Anchor = "start" if at == 0 else "end" if at == 1 else "middle"
                self.y += _TICK
                self._text(x, text, points, anchor)
                self.y -= _TICK
            self.y += _TICK + self._line(points)
            for line in self._wrapped(bar.label, points, width, 2):
                self._text(left + width / 2, line, points, "middle", FAINT)
                self.y += self._line(points)
            ends.append(self.y)
        self.y = max(ends)

    def _marks(self, bar: Bar, width: float) -> list[tuple[float, str]]:
        """Return the numbers that fit beside each other."""
        marks = bar.marks()
        needed = sum(fonts.width(text, note_points(self.style), self.style.font) + 1 for _, text in marks)
        return marks if needed <= width else marks[:: max(1, len(marks) - 1)][:2]

    def _bar_room(self) -> float:
        bar, points = self.sheet.bar, note_points(self.style)
        if not bar:
            return 0.0
        numbers = max(fonts.width(text, points, self.style.font) for _, text in bar.marks())
        return _GAP + _BAR + _TICK + 0.4 + numbers + (self._line(points) + 0.4 if bar.label else 0.0)

    def _side_bar(self, bar: Bar, top: float, bottom: float) -> None:
        """Place a vertical color bar right of all tiles."""
        points, height = note_points(self.style), bottom - top
        left = self._place(self.columns - 1) + self.column + _GAP
        self.items.append(Picture((left, top, _BAR, height), bar.strip()[::-1, None]))
        self.items += _hairline((left, top, _BAR, height))
        half = 0.36 * points * fonts.POINT  # from the baseline to the middle of a digit
        marks = bar.marks()
        marks = marks if height > 1.2 * len(marks) * self._line(points) else marks[-1:]
        for at, text in marks:
            y = bottom - at * height
            self.items.append(Rule((left + _BAR, y - 0.1, _TICK, 0.2), INK))
            baseline = min(max(y + half, top + 2 * half), max(bottom, top + 2 * half))
            self.items.append(Words(left + _BAR + _TICK + 0.4, baseline, text, points))
        right = self.left + self.columns * (self.column + _GAP) - _GAP + self._bar_room()
        label = fonts.shorten(bar.label, points, height, self.style.font)
        if label:
            baseline = right - 0.25 * points * fonts.POINT
            self.items.append(Words(baseline, (top + bottom) / 2, label, points, "middle", FAINT, up=True))


def _hairline(box: tuple[float, float, float, float], thick: float = 0.1) -> list[Rule]:
    """Return a thin frame just outside a rectangle."""
    left, top, width, height = box
    color = (120, 120, 120)
    return [
        Rule((left - thick, top - thick, width + 2 * thick, thick), color),
        Rule((left - thick, top + height, width + 2 * thick, thick), color),
        Rule((left - thick, top, thick, height), color),
        Rule((left + width, top, thick, height), color),
    ]
