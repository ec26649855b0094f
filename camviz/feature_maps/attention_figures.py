"""A figure of attention heads: one tile per head over the image."""

from __future__ import annotations

from typing import Any

import numpy as np

from camviz.feature_maps.attention_heads import HeadMaps
from camviz.feature_maps.channels import parse_channels
from camviz.feature_maps.figures import FeatureStyle
from camviz.render.bar import Bar, number, percent
from camviz.render.names import model_name
from camviz.render.painting import bar_of
from camviz.render.paper import compose
from camviz.render.sheet import Sheet, Tile, table
from camviz.render.tiles import painted, tile_pixels
from camviz.types import Figure, Look, SaliencyMap


def heads(maps: HeadMaps, **settings: Any) -> Figure:
    """Draw the attention of each head over the image, labeled with entropy and mean distance.

    Each head is normalized to its maximum; with scale "layer" or "run" all heads share one scale that begins at 0.
    Settings as in `FeatureStyle`.
    """
    style = FeatureStyle(**settings)
    total = len(maps.values)
    chosen = parse_channels(style.channels, total, maps.layer) if style.channels else list(range(style.top or total))
    shared = style.scale in ("layer", "run")
    top = style.within.high if style.within else float(maps.values.max())
    look = Look(colormap=style.colormap, scale=f"fixed:{top!r}" if shared else "image", style=style.style)
    pixels = tile_pixels(maps.image.pixels, 4, style.style)
    tiles = [Tile(painted(_map(maps, head), pixels, look), notes=_notes(maps, head)) for head in chosen]
    count = len(chosen)
    facts = [f"{maps.layer} of {model_name(maps.model)}", maps.image.name, maps.query]
    facts.append(f"{count} of {total} heads" if count < total else f"{total} heads")
    if maps.rest.max() > 1e-4:
        facts.append(f"{percent(float(maps.rest.mean()))} of the attention is on tokens that are not patches")
    facts.append(f"maximum entropy {number(float(np.log2(maps.tokens)))} bits")
    facts.append("" if np.isnan(maps.distance).all() else "distance: mean over patches, to the patches attended to")
    facts.append("" if shared else "each head normalized to its maximum")
    bar: Bar | None = bar_of(_map(maps, 0, "attention"), look) if shared else None
    recorded = {
        "heads": chosen,
        "entropy": [round(float(maps.entropy[head]), 4) for head in chosen],
        "distance": [
            None if np.isnan(maps.distance[head]) else round(float(maps.distance[head]), 3) for head in chosen
        ],
    }
    rows = table(tiles, style.style, Tile(pixels, notes=("input",)))
    sheet = Sheet(rows, caption=tuple(filter(None, facts)), bar=bar)
    return compose("features-attention", sheet, style.format, style.style, recorded, maps.image.name)


def _map(maps: HeadMaps, head: int, name: str = "attention") -> SaliencyMap:
    """Return the attention of a head as a map of its image."""
    values, nan = maps.values[head], float("nan")
    return SaliencyMap(values, name, maps.layer, f"head {head}", head, nan, None, maps.model, maps.view, maps.image)


def _notes(maps: HeadMaps, head: int) -> tuple[str, ...]:
    distance = "" if np.isnan(maps.distance[head]) else f"distance {maps.distance[head]:.0f} px"
    return (f"head {head} · entropy {maps.entropy[head]:.1f} bits", distance)
