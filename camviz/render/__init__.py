"""Maps become pictures: numpy in, an Artefact out. Never sees torch; OpenCV and Pillow load when used."""

from __future__ import annotations

from collections.abc import Callable

from camviz.errors import RequestError
from camviz.registry import Registry
from camviz.types import Artefact, Look, Picture, SaliencyMap

Renderer = Callable[[Picture, SaliencyMap, Look], Artefact]
RENDERERS: Registry[Renderer] = Registry("layout", __name__)

from camviz.render.colour import colormap_names, fixed_scale, one_of  # noqa: E402
from camviz.render.encoding import encode, suffix  # noqa: E402

__all__ = ["RENDERERS", "check", "colormap_names", "draw", "encode"]


def check(look: Look) -> None:
    """Raise `RequestError` for a look that cannot be drawn; imports neither OpenCV nor Pillow."""
    one_of("layout", look.layout, tuple(RENDERERS.names()))
    if look.colormap is not None:
        one_of("colour map", look.colormap, colormap_names())
    one_of("sign", look.sign, ("positive", "negative", "both"))
    fixed_scale(look.scale)
    suffix(look.format)
    if not 0 <= look.alpha <= 1:
        raise RequestError(f"no alpha {look.alpha}", "type 0, the picture alone, to 1, the colours alone")


def draw(picture: Picture, map: SaliencyMap, look: Look) -> Artefact:
    """The map of a picture, drawn in the layout of the look."""
    check(look)
    if map.view.picture != (picture.width, picture.height):
        size = (picture.width, picture.height)
        raise ValueError(f"the map is of a picture of {map.view.picture} pixels, not of {size}")
    return RENDERERS.find(look.layout).call(picture, map, look)
