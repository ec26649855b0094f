"""Fonts and text metrics: the font of every glyph, widths in millimeters, wrapping and shortening.

Text is set in DejaVu Sans (part of matplotlib), or in the font that the user names. Glyphs that it lacks come from
the first installed font that has them; the glyphs that no font has are reported once.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from camviz.errors import RequestError

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

POINT = 25.4 / 72  # millimeters
ELLIPSIS = "…"
_EM = 200  # pixels, the size at which widths are measured
_SLACK = 1.01  # hinting makes small text wider
# file names of common fonts with Chinese, Japanese or Korean glyphs, tried before all other installed fonts
_CJK = (
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "NotoSansSC-Regular.otf", "NotoSansSC-VF.ttf"),
    *("SourceHanSansSC-Regular.otf", "SourceHanSansCN-Regular.otf", "SourceHanSans-Regular.ttc"),
    *("wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf", "DroidSansFallback.ttf"),
    *("PingFang.ttc", "Hiragino Sans GB.ttc", "STHeiti Medium.ttc", "Arial Unicode.ttf"),
    *("msyh.ttc", "simhei.ttf", "simsun.ttc", "meiryo.ttc", "malgun.ttf", "uming.ttc", "ukai.ttc", "NanumGothic.ttf"),
)
_reported: set[str] = set()


class Run(NamedTuple):
    """Consecutive glyphs of a text that are set in one font file."""

    text: str
    font: str


def check_font(name: str) -> None:
    """Raise `RequestError` for a font that is not installed; "" is the default font."""
    if name and _named(name) is None:
        raise RequestError(f"no font '{name}' on this machine", "--font DejaVuSans, or a file: --font fonts/Arial.ttf")


def clean(text: str) -> str:
    """Return the text on one line, without control characters and undecodable bytes of file names."""
    text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in text)


def runs(text: str, font: str = "") -> list[Run]:
    """Split a text into runs of one font each."""
    split: list[Run] = []
    for letter in clean(text):
        path = split[-1].font if split and letter.isspace() else _font_of(letter, font)
        if split and split[-1].font == path:
            split[-1] = Run(split[-1].text + letter, path)
        else:
            split.append(Run(letter, path))
    return split


def width(text: str, points: float, font: str = "") -> float:
    """Return the width of a text in millimeters."""
    return _SLACK * sum(_length(run) for run in runs(text, font)) * points * POINT


def shorten(text: str, points: float, room: float, font: str = "", side: Literal["left", "middle"] = "middle") -> str:
    """Return the text, or as much of it as fits into `room` millimeters, with "…" at its left or in its middle."""
    text = clean(text)
    if width(text, points, font) <= room:
        return text
    fits, excess = 0, len(text)  # numbers of kept letters; bisection
    while excess - fits > 1:
        kept = (fits + excess) // 2
        if width(_cut(text, kept, side), points, font) <= room:
            fits = kept
        else:
            excess = kept
    short = _cut(text, fits, side)
    return short if width(short, points, font) <= room else ""


def wrap(parts: Sequence[str], points: float, room: float, font: str = "", separator: str = " · ") -> list[str]:
    """Return the parts on as few lines as fit into `room` millimeters; a part that is too long is broken at spaces."""
    lines: list[str] = []
    for part in parts:
        first, *more = _broken(clean(part), points, room, font) or [""]
        if lines and first and width(lines[-1] + separator + first, points, font) <= room:
            lines[-1] += separator + first
        elif first:
            lines.append(first)
        lines += more
    return lines


def _broken(part: str, points: float, room: float, font: str) -> list[str]:
    """Break a text between words, but not before "%"; a word that is too long is shortened."""
    part = part.replace(" %", "\u00a0%")
    if width(part, points, font) <= room:
        return [part] if part else []
    lines: list[str] = []
    for word in part.split(" "):
        if lines and width(f"{lines[-1]} {word}", points, font) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(shorten(word, points, room, font))
    return [line for line in lines if line]


def _cut(text: str, kept: int, side: Literal["left", "middle"]) -> str:
    head = (kept + 1) // 2 if side == "middle" else 0
    tail = kept - head
    return text[:head].rstrip() + ELLIPSIS + (text[-tail:].lstrip() if tail else "")


@lru_cache(8192)
def _length(run: Run) -> float:
    """Return the width of a run in em."""
    return float(load(run.font, _EM).getlength(run.text)) / _EM


@cache
def load(path: str, size: int) -> FreeTypeFont:
    """Return a font at a size in pixels."""
    from PIL import ImageFont

    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


@cache
def _default() -> str:
    spec = find_spec("matplotlib")
    assert spec
    assert spec.origin
    return str(Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf")


@cache
def _named(name: str) -> str | None:
    """Return the file of a font, by path or by the name that its file may have."""
    joined = name.replace(" ", "")
    if joined == "DejaVuSans":
        return _default()
    for candidate in (name, *(joined + end for end in (".ttf", ".otf", ".ttc", "-Regular.ttf", "-Regular.otf"))):
        try:
            path = load(candidate, 16).path
        except OSError:
            continue
        return str(path)
    return None


@lru_cache(65536)
def _font_of(letter: str, font: str) -> str:
    """Return the file of the first font with a glyph for the letter, the default font if there is none."""
    first = (font and _named(font)) or _default()
    if letter.isspace():
        return first
    for path in _candidates(first):
        if ord(letter) in _glyphs(path):
            return path
    if letter not in _reported:
        _reported.add(letter)
        logging.getLogger("camviz").warning(
            "note: no installed font has a glyph for '%s' (U+%04X), so figures show a box; "
            "install one, for example Noto Sans CJK, or name its file: --font FILE",
            *(letter, ord(letter)),
        )
    return first


def _candidates(first: str) -> Iterable[str]:
    yield first
    yield _default()
    yield from (path for name in _CJK if (path := _named(name)))
    yield from _installed()


@cache
def _installed() -> list[str]:
    from matplotlib.font_manager import findSystemFonts

    return sorted(findSystemFonts())


@cache
def _glyphs(path: str) -> frozenset[int]:
    """Return the code points that a font has glyphs for."""
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(path, fontNumber=0, lazy=True) as font:
            return frozenset(font.getBestCmap() or ())
    except (OSError, TTLibError, AssertionError):
        return frozenset()
