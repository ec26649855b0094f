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

from camviz.render.color import SHARED, colormap_names, fixed_scale, one_of, settled  # noqa: E402
from camviz.render.encoding import encode, suffix  # noqa: E402

__all__ = ["RENDERERS", "check", "colormap_names", "draw", "encode", "takes_all"]


def check(look: Look) -> None:
    """Raise `RequestError` for a look that cannot be drawn; imports neither OpenCV nor Pillow."""
    one_of("layout", look.layout, tuple(RENDERERS.names()))
    if look.colormap is not None:
        one_of("color map", look.colormap, colormap_names())
    one_of("sign", look.sign, get_args(Sign))
    fixed_scale(look.scale)
    suffix(look.format)
    if not 0 <= look.alpha <= 1:
        raise RequestError(f"no alpha {look.alpha}", "type 0, the image alone, to 1, the colors alone")


def draw(image: Image, maps: SaliencyMap | Sequence[SaliencyMap], look: Look) -> Figure:
    """Draw the map of an image, or all its maps for a layout that takes them, with the color bar and caption asked for.

    Raises `ValueError` for a map of an image of another size, and `RequestError` for a look that cannot be drawn.
    """
    from camviz.render.frame import complete

    check(look)
    several = [maps] if isinstance(maps, SaliencyMap) else list(maps)
    size = (image.width, image.height)
    for one in several:
        if one.view.image != size:
            raise ValueError(f"the map is of an image of {one.view.image} pixels, not of {size}")
    entry = RENDERERS.find(look.layout)
    look = settled(look, (one.values for one in several), SHARED)
    drawn = entry.call(image, several if takes_all(look.layout) else several[0], look)
    return drawn if isinstance(drawn, Figure) else complete(look.layout, drawn, several[0], look)


def takes_all(layout: str) -> bool:
    """Whether a layout draws all maps of an image in one figure."""
    return RENDERERS.find(layout).facts.get("takes") == "all maps"


@DRAWINGS.add("map")
def draw_map(saliency_map: SaliencyMap, look: Look) -> Figure:
    """Draw a map over its own image."""
    return draw(saliency_map.image, saliency_map, look)
