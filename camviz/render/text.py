"""Text on images: fonts that have the letters, widths, shortening. Sizes are in pixels.

Latin text uses the font inside Pillow, so it looks the same everywhere; other scripts use a system font.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from camviz.types import Pixels

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

INK = (30, 30, 30)
FAINT = (95, 95, 95)
PAPER = (255, 255, 255)
ELLIPSIS = "…"

# Looked for by name in the system's font folders, in this order.
_SYSTEM_FONTS = (
    *("DejaVuSans.ttf", "segoeui.ttf", "NotoSans-Regular.ttf"),  # other alphabets
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "NotoSansSC-Regular.otf", "NotoSansSC-VF.ttf"),
    *("SourceHanSansSC-Regular.otf", "SourceHanSansCN-Regular.otf", "SourceHanSans-Regular.ttc"),
    *("wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf", "DroidSansFallback.ttf"),
    *("PingFang.ttc", "Hiragino Sans GB.ttc", "STHeiti Medium.ttc", "Arial Unicode.ttf"),
    *("msyh.ttc", "simhei.ttf", "simsun.ttc", "meiryo.ttc", "malgun.ttf"),
    *("uming.ttc", "ukai.ttc", "NanumGothic.ttf"),
)


def clean(text: str) -> str:
    """The text on one line, without what no font can draw (control characters, broken file names).

    Pillow's font has no ×; an x keeps shapes in one font on every machine.
    """
    text = text.replace("×", "x")
    text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in text)


@cache
def _default(size: int) -> FreeTypeFont:
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow was built without FreeType, so it cannot draw text of a given size")
    return font


@cache
def _system(name: str, size: int) -> FreeTypeFont | None:
    from PIL import ImageFont

    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@lru_cache(4096)
def _has(name: str, letter: str) -> bool:
    """Whether a font ("" is the default) has a letter: it draws something else than for a non-character."""
    font = _system(name, 16) if name else _default(16)
    if font is None:
        return False
    return letter.isspace() or bytes(font.getmask(letter)) != bytes(font.getmask("\uffff"))


@lru_cache(1024)
def _font_name(letters: frozenset[str]) -> str:
    """The first font with all the letters, else the one with most of them; "" is the default."""
    best, most = "", -1
    for name in ("", *_SYSTEM_FONTS):
        count = sum(_has(name, letter) for letter in letters)
        if count == len(letters):
            return name
        if count > most:
            best, most = name, count
    return best


def font_for(text: str, size: int) -> FreeTypeFont:
    """The font a text is drawn with."""
    name = _font_name(frozenset(text))
    return (_system(name, size) if name else None) or _default(size)


def line_height(size: int) -> int:
    """The height of one line, accents and descenders included."""
    return round(1.5 * size)


def width(text: str, size: int) -> int:
    """The width of a text, in whole pixels."""
    text = clean(text)
    left, _, right, _ = font_for(text, size).getbbox(text, anchor="ls")
    return int(np.ceil(max(right, font_for(text, size).getlength(text)) - min(left, 0)))


def shorten(text: str, size: int, room: int, side: Literal["left", "middle"] = "middle") -> str:
    """The text, or as much of it as `room` allows, with "…" at its left or in its middle."""
    text = clean(text)
    if width(text, size) <= room:
        return text
    fewest, most = 0, len(text)  # letters kept: `fewest` fit (or none do), `most` do not
    while most - fewest > 1:
        kept = (fewest + most) // 2
        if width(_cut(text, kept, side), size) <= room:
            fewest = kept
        else:
            most = kept
    short = _cut(text, fewest, side)
    return short if width(short, size) <= room else ""


def _cut(text: str, kept: int, side: Literal["left", "middle"]) -> str:
    head = (kept + 1) // 2 if side == "middle" else 0
    tail = kept - head
    return text[:head].rstrip() + ELLIPSIS + (text[-tail:].lstrip() if tail else "")


def flow(parts: Sequence[str], size: int, room: int, separator: str = " · ") -> list[str]:
    """The parts on as few lines as fit into `room`, in order; one too long for a line goes on, on the next."""
    lines: list[str] = []
    for part in parts:
        first, *more = _broken(clean(part), size, room) or [""]
        if lines and width(lines[-1] + separator + first, size) <= room:
            lines[-1] += separator + first
        elif first:
            lines.append(first)
        lines += more
    return lines


def _broken(part: str, size: int, room: int) -> list[str]:
    """A text in lines of `room`, broken between words; a word too long for a line is shortened."""
    if width(part, size) <= room:
        return [part]
    lines: list[str] = []
    for word in part.split():
        if lines and width(f"{lines[-1]} {word}", size) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(shorten(word, size, room, "left"))
    return [one for one in lines if one]


def headline(parts: Sequence[str], size: int, room: int, separator: str = " · ") -> str:
    """The parts on one line; when that is too long, the first one loses its middle."""
    rest = "".join(separator + part for part in parts[1:])
    first = shorten(parts[0], size, room - width(rest, size) if rest else room)
    return shorten(first + rest, size, room)


def line(text: str, size: int, color: tuple[int, int, int] = INK) -> Pixels:
    """One line of text on paper: (line_height, width, 3), at least one pixel wide."""
    from PIL import Image, ImageDraw

    text = clean(text)
    font = font_for(text, size)
    image = Image.new("RGB", (max(1, width(text, size)), line_height(size)), PAPER)
    left = -min(0, font.getbbox(text, anchor="ls")[0])
    ImageDraw.Draw(image).text((left, round(1.1 * size)), text, fill=color, font=font, anchor="ls")
    return np.asarray(image)
