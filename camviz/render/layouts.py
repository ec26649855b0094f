"""Composed figures of maps: image and overlay side by side, and all maps of an image in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from camviz.render import RENDERERS
from camviz.render.bar import Bar, number
from camviz.render.color import fixed_scale, settled
from camviz.render.names import blank_note, method_name, model_name, scale_label, target_name
from camviz.render.painting import bar_of
from camviz.render.paper import compose
from camviz.render.sheet import WIDEST, Row, Sheet, Tile
from camviz.render.tiles import TILE, caption_of, painted, tile_pixels
from camviz.types import Figure, Image, Look, SaliencyMap

WIDE = 2.0  # width / height from which the tiles of a panel are stacked
_ACROSS = 6  # tiles in a row before it is wrapped


@RENDERERS.add("panel")
def panel(image: Image, map: SaliencyMap, look: Look) -> Figure:
    """Image and overlay side by side (wide ones stacked), with a color bar and a caption."""
    stacked = image.width > WIDE * image.height
    pixels = tile_pixels(image.pixels, 1 if stacked else 2, look.style)
    bar = bar_of(map, look)
    caption = () if look.caption is False else caption_of(map, look)
    titles = ("", "") if look.caption is False else ("Input", target_name(map))
    tiles = [Tile(pixels, titles[0]), Tile(painted(map, pixels, look), titles[1], framed=bar.opacity is None)]
    rows = tuple(Row((tile,)) for tile in tiles) if stacked else (Row(tuple(tiles)),)
    sheet = Sheet(rows, caption=caption, bar=None if look.colorbar is False else bar, tile=WIDEST if stacked else TILE)
    return compose("panel", sheet, look.format, look.style, bar.facts, image.name)


@RENDERERS.add("grid", takes="all maps")
def grid(image: Image, maps: Sequence[SaliencyMap], look: Look) -> Figure:
    """All maps of an image: one row of methods or targets, or a row per target; one color bar.

    Targets of one method share a color scale. Maps of several methods have different units, so each is normalized to
    its own maximum unless the look asks for a shared scale.
    """
    targets = list(dict.fromkeys((each.target, each.index) for each in maps))
    kinds = list(dict.fromkeys(_kind(each) for each in maps))
    layers = {each.layer for each in maps if each.layer != "input"}
    if len(kinds) == 1 and look.scale == "image" and not maps[0].facts.get("per_pixel"):
        look = settled(replace(look, scale="row"), (each.values for each in maps))
    flat = len(targets) == 1 or len(kinds) == 1
    across = 1 + (len(maps) if flat else len(kinds))
    per_row = -(-across // -(-across // _ACROSS)) if flat else across
    pixels = tile_pixels(image.pixels, per_row, look.style)
    entries = {((each.target, each.index), _kind(each)): each for each in maps}
    original = Tile(pixels, "Input", (image.name,))

    def tile(target: tuple[str, int | None], kind: tuple[str, str, int]) -> Tile | None:
        each = entries.get((target, kind))
        if each is None:
            return None
        title = target_name(each) if len(kinds) == 1 else _title(kind, len(layers) > 1)
        framed = bar_of(each, look).opacity is None
        return Tile(painted(each, pixels, look), title, _notes(each, look), framed)

    if flat:
        tiles = [original, *(tile(target, kind) for target in targets for kind in kinds)]
        tiles += [None] * (-len(tiles) % per_row)
        rows = [Row(tuple(tiles[start : start + per_row])) for start in range(0, len(tiles), per_row)]
    else:
        rows = [Row((original, *(tile(target, kind) for kind in kinds)), _target(maps, target)) for target in targets]
    return _sheet(image, maps, look, tuple(rows), flat and len(kinds) > 1)


def _sheet(image: Image, maps: Sequence[SaliencyMap], look: Look, rows: tuple[Row, ...], one_target: bool) -> Figure:
    shared = fixed_scale(look.scale) is not None
    drawn = [(each, bar_of(each, look)) for each in maps]
    over = [(each, bar) for each, bar in drawn if bar.opacity is not None] or (drawn if shared else [])
    bar: Bar | None = None
    if over and look.colorbar is not False:
        labels = list(dict.fromkeys(scale_label(each) for each, _ in over))
        label = labels[0] if len(labels) == 1 else "score units" if shared else ""
        bar = replace(over[0][1], label=label if shared else "share of the maximum", relative=not shared)
    methods = list(dict.fromkeys(method_name(each.method) for each in maps))
    facts = [target_name(maps[0])] if one_target else [", ".join(methods)]
    layers = list(dict.fromkeys(each.layer for each in maps if each.layer != "input"))
    facts += [*layers[:1], model_name(maps[0].model)] if len(layers) < 2 else [model_name(maps[0].model)]
    caption = () if look.caption is False else tuple(facts)
    sheet = Sheet(rows, caption=caption, bar=bar)
    return compose("grid", sheet, look.format, look.style, drawn[0][1].facts if shared else {}, image.name)


def _notes(each: SaliencyMap, look: Look) -> tuple[str, ...]:
    """Return what is noted below a tile: weak or blank maps, and the maximum where there is no shared scale."""
    bar = bar_of(each, look)
    blank = blank_note(each.values, bar.sign)
    value = ""
    if not blank and bar.opacity is None:
        value = f"clipped at P99 = {number(bar.within.high)}"
    elif not blank and fixed_scale(look.scale) is None:
        value = f"max {number(bar.within.high)}"
    return tuple(filter(None, ("weak" if each.facts.get("weak") else "", value, blank)))


def _kind(each: SaliencyMap) -> tuple[str, str, int]:
    return each.layer, each.method, int(each.facts.get("part", 0))


def _title(kind: tuple[str, str, int], layers: bool) -> str:
    layer, method, part = kind
    return f"{method_name(method)}{f' {part}' if part else ''}{f' · {layer}' if layers and layer != 'input' else ''}"


def _target(maps: Sequence[SaliencyMap], target: tuple[str, int | None]) -> str:
    return target_name(next(each for each in maps if (each.target, each.index) == target))
