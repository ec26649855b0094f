"""Draw maps: numpy in, a `Figure` out. Never imports torch; OpenCV and Pillow load when used.

A renderer is one decorated function from (image, map, look) to pixels (H, W, 3), uint8. `draw` adds the color bar and
the caption that the look asks for. A renderer that places them itself returns a `Figure` instead. Facts:

takes    "all maps" for a renderer that draws every map of an image in one figure: (image, maps, look)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

from camviz.errors import RequestError
from camviz.registry import Registry
from camviz.types import DRAWINGS, Figure, Image, Look, Pixels, SaliencyMap, Sign

Renderer = Callable[..., "Figure | Pixels"]
RENDERERS: Registry[Renderer] = Registry("layout", __name__)

from camviz.render.color import SHARED, check_colormap, colormap_names, fixed_scale, one_of, settled  # noqa: E402
from camviz.render.encoding import encode  # noqa: E402

__all__ = ["RENDERERS", "check", "colormap_names", "draw", "encode", "takes_all"]


def check(look: Look) -> None:
    """Raise `RequestError` for a look that cannot be drawn; imports neither OpenCV, Pillow nor matplotlib."""
    from camviz.render.paper import FORMATS, check_style

    one_of("layout", look.layout, tuple(RENDERERS.names()))
    if look.colormap is not None:
        check_colormap(look.colormap)
    one_of("sign", look.sign, get_args(Sign))
    fixed_scale(look.scale)
    one_of("format", look.format, FORMATS)
    if look.alpha is not None and not 0 <= look.alpha <= 1:
        raise RequestError(f"no alpha {look.alpha:g}", "--alpha 0.5, or 0 (the image alone) to 1 (the colors alone)")
    if not 0 <= look.threshold < 1:
        raise RequestError(f"no threshold {look.threshold:g}", "--threshold 0.3, a share of the color scale below 1")
    if not all(0 < level < 1 for level in look.contour):
        levels = ",".join(f"{level:g}" for level in look.contour)
        raise RequestError(f"no contour levels {levels}", "--contour 0.5,0.8: shares of the color scale, 0 to 1")
    check_style(look.style)


def draw(image: Image, maps: SaliencyMap | Sequence[SaliencyMap], look: Look) -> Figure:
    """Draw the map of an image, or all its maps for a layout that takes them, with the color bar and caption asked for.

    Raises `ValueError` for a map of an image of another size, and `RequestError` for a look that cannot be drawn.
    """
    from camviz.render.tiles import complete

    check(look)
    several = [maps] if isinstance(maps, SaliencyMap) else list(maps)
    size = (image.width, image.height)
    for each in several:
        if each.view.image != size:
            raise ValueError(f"the map is of an image of {each.view.image} pixels, not of {size}")
    entry = RENDERERS.find(look.layout)
    look = settled(look, (each.values for each in several), SHARED)
    drawn = entry.call(image, several if takes_all(look.layout) else several[0], look)
    return drawn if isinstance(drawn, Figure) else complete(look.layout, drawn, several[0], look)


def takes_all(layout: str) -> bool:
    """Whether a layout draws all maps of an image in one figure."""
    return RENDERERS.find(layout).facts.get("takes") == "all maps"


@DRAWINGS.add("map")
def draw_map(saliency_map: SaliencyMap, look: Look) -> Figure:
    """Draw a map over its own image."""
    return draw(saliency_map.image, saliency_map, look)
