"""A page of attention heads: one tile per head, all on one scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from camviz.feature_maps.attention_heads import HeadMaps
from camviz.feature_maps.channels import parse_channels
from camviz.feature_maps.figures import Style, page
from camviz.render import color
from camviz.render.bar import Bar, number
from camviz.render.frame import percent
from camviz.render.montage import columns_for, enlarged, montage, tile_size
from camviz.types import Figure


def heads(maps: HeadMaps, **settings: Any) -> Figure:
    """The attention's heads as a page of numbered tiles, in their own order; settings as in `Style`.

    Each tile is labeled with its number, its entropy and its mean distance. The scale begins at 0 and is that of all
    heads, so that a head which spreads its attention looks faint beside one that does not.
    """
    style = Style(**settings)
    total = len(maps.values)
    chosen = parse_channels(style.channels, total, maps.layer) if style.channels else list(range(style.top or total))
    values = maps.values[chosen]
    colormap = style.colormap or color.SEQUENTIAL
    within = style.within or color.Limits(0.0, float(maps.values.max()))
    each = style.scale == "channel"
    limits = [color.Limits(0.0, float(one.max())) if each else within for one in values]
    tiles = np.stack([color.colorise(one, own, colormap) for one, own in zip(values, limits, strict=True)])
    count, (h, w) = len(chosen), values.shape[1:]
    labels = [_label(maps, head) for head in chosen]
    body = montage(enlarged(tiles, *tile_size(count, h, w)), labels, columns_for(count, h, w))
    facts = [f"{count} of {total} heads" if count < total else f"{total} heads", maps.query]
    facts.append(
        f"{percent(float(maps.rest.mean()))} of it on tokens that are no patches" if maps.rest.max() > 1e-4 else ""
    )
    facts.append(f"entropy of at most {number(float(np.log2(maps.tokens)))} bits")
    facts.append("" if np.isnan(maps.distance).all() else "mean distance from patch to patch")
    facts.append("each tile has its own scale" if each else "")
    figure = page(body, maps, facts, None if each else Bar(within, colormap))
    told = {
        "heads": chosen,
        "entropy": [round(float(maps.entropy[head]), 4) for head in chosen],
        "distance": [
            None if np.isnan(maps.distance[head]) else round(float(maps.distance[head]), 3) for head in chosen
        ],
    }
    return Figure("features-attention", style.suffix, figure, facts=told)


def _label(maps: HeadMaps, head: int) -> str:
    words = [str(head), f"{maps.entropy[head]:.1f} bits"]
    if not np.isnan(maps.distance[head]):
        words.append(f"{maps.distance[head]:.0f} px")
    return " · ".join(words)
