"""A figure for print: images and words at places in millimetres, written as PNG, SVG or PDF."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree

import numpy as np

from camviz.errors import RequestError
from camviz.render import canvas, text
from camviz.types import Pixels

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

INCH = 25.4  # millimetres
POINT = INCH / 72
FORMATS = ("png", "pdf", "svg")
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, eq=False)
class Shown:
    """Pixels in a rectangle: left, top, width, height in mm."""

    box: tuple[float, float, float, float]
    pixels: Pixels = field(repr=False)


@dataclass(frozen=True)
class Words:
    """A line of text; (x, y) in mm is where its baseline begins, ends, or has its middle. `size` in points."""

    x: float
    y: float
    words: str
    size: float
    anchor: Anchor = "start"
    color: tuple[int, int, int] = text.INK


@dataclass(frozen=True)
class Ruled:
    """A filled rectangle: left, top, width, height in mm."""

    box: tuple[float, float, float, float]
    color: tuple[int, int, int] = text.INK


@dataclass(frozen=True)
class Plate:
    """A figure of that many millimetres, drawn in the order of its items."""

    width: float
    height: float
    items: tuple[Shown | Words | Ruled, ...] = field(repr=False)


# fonts


def check_font(name: str) -> None:
    """Raise `RequestError` for a font that is not on this machine; "" is the one inside Pillow."""
    if name and named_font(name, 16) is None:
        raise RequestError(f"no font '{name}' on this machine", "--font DejaVuSans, or a file: --font fonts/Arial.ttf")


def named_font(name: str, size: int) -> FreeTypeFont | None:
    """A font by file, or by a name that its file may have."""
    joined = name.replace(" ", "")
    endings = (".ttf", ".otf", ".ttc", "-Regular.ttf", "-Regular.otf")
    for candidate in (name, *(joined + ending for ending in endings)):
        found = text._system(candidate, size)
        if found:
            return found
    return None


def font_of(words: str, size: int, name: str) -> FreeTypeFont:
    """The font asked for, where it has all letters; else one that has them."""
    font = named_font(name, size) if name else None
    missing = bytes(font.getmask("\uffff")) if font else b""
    if font and all(letter.isspace() or bytes(font.getmask(letter)) != missing for letter in set(words)):
        return font
    return text.font_for(words, size)


def breadth(words: str, size: float, font: str) -> float:
    """The width of a text in mm at so many points."""
    words = text.clean(words)
    return float(font_of(words, 100, font).getlength(words)) / 100 * size * POINT


def shorten(words: str, size: float, room: float, font: str) -> str:
    """The text, or as much of its two ends as `room` in mm allows."""
    words = text.clean(words)
    if breadth(words, size, font) <= room:
        return words
    for kept in range(len(words) - 1, 0, -1):
        head, tail = words[: (kept + 1) // 2].rstrip(), words[len(words) - kept // 2 :].lstrip()
        short = head + text.ELLIPSIS + (tail if kept > 1 else "")
        if breadth(short, size, font) <= room:
            return short
    return ""


# PNG


def to_pixels(plate: Plate, dpi: int, font: str = "") -> Pixels:
    """The plate on paper, so many pixels per inch."""
    import cv2
    from PIL import Image, ImageDraw

    scale = dpi / INCH
    paper = canvas.blank(max(1, round(plate.height * scale)), max(1, round(plate.width * scale)))
    for item in plate.items:
        if isinstance(item, Words):
            continue
        left, top, width, height = item.box
        x, y = round(left * scale), round(top * scale)
        across, down = max(1, round((left + width) * scale) - x), max(1, round((top + height) * scale) - y)
        block: Any = item.color if isinstance(item, Ruled) else item.pixels
        if isinstance(item, Shown):
            smaller = across < item.pixels.shape[1]
            how = cv2.INTER_AREA if smaller else cv2.INTER_NEAREST
            block = cv2.resize(item.pixels, (across, down), interpolation=how)
            block = block[: paper.shape[0] - y, : paper.shape[1] - x]
        paper[y : y + down, x : x + across] = block
    image = Image.fromarray(paper)
    draw = ImageDraw.Draw(image)
    for item in plate.items:
        if isinstance(item, Words):
            words, size = text.clean(item.words), max(1, round(item.size * POINT * scale))
            face = font_of(words, size, font)
            draw.text((item.x * scale, item.y * scale), words, item.color, face, anchor=_ANCHORS[item.anchor])
    return np.asarray(image)


def png(pixels: Pixels, dpi: int) -> bytes:
    """A PNG that says how large it is on paper."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", dpi=(dpi, dpi), compress_level=2)
    return buffer.getvalue()


# SVG


def to_svg(plate: Plate, font: str = "") -> bytes:
    """The plate with its words as text; images are PNG inside."""
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": f"{plate.width:.3f}mm",
            "height": f"{plate.height:.3f}mm",
            "viewBox": f"0 0 {plate.width:.3f} {plate.height:.3f}",
        },
    )
    _rect(root, (0, 0, plate.width, plate.height), text.PAPER)
    for item in plate.items:
        if isinstance(item, Shown):
            data = base64.b64encode(png(item.pixels, 300)).decode()
            told = {**_box(item.box), "preserveAspectRatio": "none", "href": f"data:image/png;base64,{data}"}
            ElementTree.SubElement(root, "image", told)
        elif isinstance(item, Ruled):
            _rect(root, item.box, item.color)
        else:
            _text(root, item, font)
    return bytes(ElementTree.tostring(root, "utf-8", xml_declaration=True))


def _rect(root: Any, box: Sequence[float], color: tuple[int, int, int]) -> None:
    ElementTree.SubElement(root, "rect", {**_box(box), "fill": _hex(color)})


def _text(root: Any, item: Words, font: str) -> None:
    words = text.clean(item.words)
    family = str(font_of(words, 16, font).getname()[0])
    told = {
        "x": f"{item.x:.3f}",
        "y": f"{item.y:.3f}",
        "font-family": f"'{family}', Arial, Helvetica, sans-serif",
        "font-size": f"{item.size * POINT:.3f}",
        "text-anchor": item.anchor,
        "fill": _hex(item.color),
    }
    ElementTree.SubElement(root, "text", told).text = words


def _box(box: Sequence[float]) -> dict[str, str]:
    return {name: f"{value:.3f}" for name, value in zip(("x", "y", "width", "height"), box, strict=True)}


def _hex(color: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{part:02x}" for part in color)


# PDF


def check_pdf() -> None:
    """Raise `RequestError` where PDF cannot be written."""
    from importlib.util import find_spec

    if find_spec("fpdf") is None:
        raise RequestError("--format pdf needs fpdf2", "pip install 'camviz[pdf]', or --format svg")


def to_pdf(plates: Sequence[Plate], font: str = "") -> bytes:
    """One page per plate, of its size, with its words as text in embedded fonts."""
    from fpdf import FPDF
    from PIL import Image

    pdf = FPDF(unit="mm")
    pdf.set_margin(0)
    pdf.set_auto_page_break(False)
    pdf.set_creation_date(datetime(2000, 1, 1, tzinfo=UTC))  # the same figure, the same bytes
    faces: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for plate in plates:
            pdf.add_page(format=(plate.width, plate.height))
            for item in plate.items:
                if isinstance(item, Shown):
                    left, top, width, height = item.box
                    pdf.image(Image.fromarray(item.pixels), left, top, width, height)
                elif isinstance(item, Ruled):
                    pdf.set_fill_color(*item.color)
                    pdf.rect(*item.box, style="F")
                else:
                    _pdf_text(pdf, item, font, faces, Path(folder))
        return bytes(pdf.output())


def _pdf_text(pdf: Any, item: Words, font: str, faces: dict[str, str], folder: Path) -> None:
    words = text.clean(item.words)
    face = font_of(words, 16, font)
    path = face.path
    key = str(path) if isinstance(path, (str, Path)) else "default"
    if key not in faces:
        if key == "default":  # the font inside Pillow is no file
            path = folder / "default.ttf"
            path.write_bytes(face.font_bytes)
        faces[key] = f"face{len(faces)}"
        pdf.add_font(faces[key], "", str(path))
    pdf.set_font(faces[key], size=item.size)
    pdf.set_text_color(*item.color)
    width = pdf.get_string_width(words)
    pdf.text(item.x - {"start": 0.0, "middle": width / 2, "end": width}[item.anchor], item.y, words)
