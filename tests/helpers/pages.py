"""Checks of composed figures: nothing leaves the page, nothing overlaps, no text is too small."""

from __future__ import annotations

import re
import zlib

from camviz.render import fonts
from camviz.render.sheet import Page, Picture, Rule, Words

LEAST = 6.0  # points
Box = tuple[float, float, float, float]  # left, top, right, bottom in mm


def box_of(item: Picture | Words | Rule, font: str = "") -> Box:
    """The rectangle of an item; of text that of its lower-case letters and digits."""
    if not isinstance(item, Words):
        left, top, width, height = item.box
        return left, top, left + width, top + height
    wide, high = fonts.width(item.text, item.points, font), item.points * fonts.POINT
    start = {"start": 0.0, "middle": wide / 2, "end": wide}[item.anchor]
    if item.up:
        return item.x - 0.72 * high, item.y + start - wide, item.x + 0.2 * high, item.y + start
    return item.x - start, item.y - 0.72 * high, item.x - start + wide, item.y + 0.2 * high


def check_page(page: Page, least: float = LEAST, font: str = "") -> None:
    """Every item is on the page, no text is on other text or on a picture, no text is smaller than `least`."""
    slack = 0.05
    placed = [(item, box_of(item, font)) for item in page.items]
    for item, (left, top, right, bottom) in placed:
        assert left >= -slack, item
        assert top >= -slack, item
        assert right <= page.width + slack, item
        assert bottom <= page.height + slack, item
        assert not isinstance(item, Words) or item.points >= least, item
    solid = [(item, box) for item, box in placed if not isinstance(item, Rule)]
    for number, (item, box) in enumerate(solid):
        for other, second in solid[number + 1 :]:
            across, down = (
                min(box[2], second[2]) - max(box[0], second[0]),
                min(box[3], second[3]) - max(box[1], second[1]),
            )
            assert across < slack or down < slack, (item, other)


def pdf_texts(data: bytes) -> tuple[Box, list[tuple[float, float, float]]]:
    """The page of a PDF that matplotlib wrote and (x, y, size) of every text on it, in points."""
    media = re.search(rb"/MediaBox \[\s*([\d. ]+?)\s*\]", data)
    assert media
    left, bottom, right, top = map(float, media[1].split())
    texts = []
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL):
        try:
            content = zlib.decompress(stream)
        except zlib.error:
            continue
        for block in re.findall(rb"BT\n(.*?)ET", content, re.DOTALL):
            size = re.search(rb"/\S+ ([\d.]+) Tf", block)
            at = re.search(rb"([-\d.]+) ([-\d.]+) (?:Td|Tm)", block)
            if size and at:
                texts.append((float(at[1]), float(at[2]), float(size[1])))
    return (left, bottom, right, top), texts
