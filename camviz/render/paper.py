"""Draw a page with matplotlib: as pixels, PDF or SVG, with embedded fonts and the same bytes every time."""

from __future__ import annotations

import io
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camviz.errors import RequestError
from camviz.render import fonts
from camviz.render.encoding import FORMATS as RASTER
from camviz.render.encoding import suffix
from camviz.render.sheet import Page, Picture, Rule, Sheet, Words, arrange
from camviz.types import Figure, Pixels, Style

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

INCH = 25.4  # mm
VECTOR = ("pdf", "svg")
FORMATS = (*RASTER, *VECTOR)
_LARGEST = 16000  # pixels of the long side: larger figures get fewer dots per inch
_METADATA = {"pdf": {"Creator": "camviz", "CreationDate": None}, "svg": {"Creator": "camviz", "Date": None}}
_lock = threading.Lock()  # matplotlib's settings are global


def check_style(style: Style) -> None:
    """Raise `RequestError` for a style that cannot be drawn."""
    if style.width and not 30 <= style.width <= 1000:
        raise RequestError(
            f"a figure {style.width:g} mm wide", "--width single (85 mm), double (180 mm), or 30 to 1000"
        )
    if not 30 <= style.dpi <= 1200:
        raise RequestError(f"{style.dpi} dots per inch", "--dpi 300, or 30 to 1200")
    if style.points and not 4 <= style.points <= 72:
        raise RequestError(f"text of {style.points:g} points", "--text-size 7, or 4 to 72")
    fonts.check_font(style.font)


def compose(
    kind: str, sheet: Sheet, format: str, style: Style, facts: dict[str, Any] | None = None, title: str = ""
) -> Figure:
    """Return the figure of a sheet, as pixels for a raster format and as bytes for PDF and SVG."""
    page = arrange(sheet, style)
    if format in VECTOR:
        return Figure(kind, f".{format}", data=_vector(page, format, style, title), facts=facts or {})
    pixels, dpi = to_pixels(page, style)
    return Figure(kind, suffix(format), pixels, facts=facts or {}, dpi=dpi)


def to_pixels(page: Page, style: Style) -> tuple[Pixels, int]:
    """Return the pixels (H, W, 3) of a page and their dots per inch."""
    import cv2
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    dpi = min(style.dpi, max(1, int(_LARGEST * INCH / max(page.width, page.height))))
    with _lock, _settings():
        canvas: Any = FigureCanvasAgg(_figure(page, style, dpi, pictures=False))
        canvas.draw()
        pixels = np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
    scale = dpi / INCH
    for item in page.items:
        if isinstance(item, Picture):
            left, top, right, bottom = _rounded(item.box, scale)
            size = (max(1, right - left), max(1, bottom - top))
            smaller = size[0] < item.pixels.shape[1]
            how = cv2.INTER_AREA if smaller else cv2.INTER_NEAREST
            room = pixels[top : top + size[1], left : left + size[0]]
            block = cv2.resize(item.pixels, size, interpolation=how)
            room[:] = block[: room.shape[0], : room.shape[1]]
    return pixels, dpi


def _rounded(box: tuple[float, float, float, float], scale: float) -> tuple[int, int, int, int]:
    left, top, width, height = box
    return round(left * scale), round(top * scale), round((left + width) * scale), round((top + height) * scale)


def _vector(page: Page, format: str, style: Style, title: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {**_METADATA[format], **({"Title": fonts.clean(title)} if title else {})}
    with _lock, _settings():
        figure = _figure(page, style, 72, pictures=True)
        figure.savefig(buffer, format=format, metadata=metadata)
    return buffer.getvalue()


def _settings() -> Any:
    import matplotlib

    return matplotlib.rc_context(_style())


@cache
def _style() -> Any:
    from matplotlib import rc_params_from_file

    return rc_params_from_file(Path(__file__).with_name("figure.mplstyle"), use_default_template=False)


def _figure(page: Page, style: Style, dpi: int, pictures: bool) -> MatplotlibFigure:
    """Return a matplotlib figure with one artist that draws the page."""
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure as MatplotlibFigure

    class PageArtist(Artist):
        def draw(self, renderer: Any) -> None:
            _draw(renderer, page, style, figure.dpi / INCH, float(figure.bbox.height), pictures)

    size = (page.width / INCH, page.height / INCH)
    if not pictures:
        size = ((round(size[0] * dpi) + 0.1) / dpi, (round(size[1] * dpi) + 0.1) / dpi)  # whole pixels, rounded down
    figure = MatplotlibFigure(figsize=size, dpi=dpi, facecolor="white")
    figure.add_artist(PageArtist())
    return figure


def _draw(renderer: Any, page: Page, style: Style, scale: float, height: float, pictures: bool) -> None:
    context = renderer.new_gc()
    for item in page.items:
        if isinstance(item, Picture):
            if pictures:
                _draw_picture(renderer, context, item, scale, height)
        elif isinstance(item, Rule):
            _draw_rule(renderer, context, item, scale, height)
        else:
            _draw_words(renderer, context, item, style, scale, height)
    context.restore()


def _draw_picture(renderer: Any, context: Any, item: Picture, scale: float, height: float) -> None:
    from matplotlib.transforms import Affine2D

    left, top, width, high = (side * scale for side in item.box)
    opaque = np.full((*item.pixels.shape[:2], 1), 255, np.uint8)
    flipped = np.ascontiguousarray(np.concatenate([item.pixels, opaque], axis=2)[::-1])  # rows from the bottom
    renderer.draw_image(context, left, height - top - high, flipped, Affine2D().scale(width, high))


def _draw_rule(renderer: Any, context: Any, item: Rule, scale: float, height: float) -> None:
    from matplotlib.path import Path as Outline
    from matplotlib.transforms import IdentityTransform

    left, top, width, high = (side * scale for side in item.box)
    bottom = height - top - high
    outline = Outline(
        [(left, bottom), (left + width, bottom), (left + width, bottom + high), (left, bottom + high), (left, bottom)]
    )
    context.set_linewidth(0)
    renderer.draw_path(context, outline, IdentityTransform(), tuple(part / 255 for part in item.color))


def _draw_words(renderer: Any, context: Any, item: Words, style: Style, scale: float, height: float) -> None:
    from matplotlib.font_manager import FontProperties

    context.set_foreground(tuple(part / 255 for part in item.color))
    full = fonts.width(item.text, item.points, style.font)
    along = -{"start": 0.0, "middle": full / 2, "end": full}[item.anchor]
    for run in fonts.runs(item.text, style.font):
        x, y = (item.x, item.y - along) if item.up else (item.x + along, item.y)
        baseline = y * scale if renderer.flipy() else height - y * scale
        font = FontProperties(fname=run.font, size=item.points)
        renderer.draw_text(context, x * scale, baseline, run.text, font, 90 if item.up else 0, False)
        along += fonts.width(run.text, item.points, style.font)
