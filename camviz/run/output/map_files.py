"""Write the maps of an image as figures and as raw arrays. Needs no model."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from camviz.io.inputs import Input
from camviz.render import draw, takes_all
from camviz.render.color import settled
from camviz.run.output.files import Write, write_file
from camviz.run.output.written import Written, write_figure
from camviz.types import Figure, Look, SaliencyMap


def write_maps(
    maps: Sequence[SaliencyMap],
    source: Input,
    folder: Path,
    look: Look,
    save_raw: bool = False,
    write: Write = write_file,
) -> Iterator[Written]:
    """Yield one file per map, or one figure of all maps, and with `save_raw` the raw maps."""
    together, look = takes_all(look.layout), settled(look, (saliency_map.values for saliency_map in maps))
    for group in [list(maps)] if together and maps else [[saliency_map] for saliency_map in maps]:
        figure = draw(group[0].image, group, look)
        shown = [map_facts(saliency_map, source) for saliency_map in group]
        facts = {"input": str(source.path), "maps": shown} if together else shown[0]
        facts |= figure.facts
        methods = list(dict.fromkeys(saliency_map.method for saliency_map in group))
        parts = name_parts(group[0].method, group[0].facets if not together else ())
        parts = parts if len(methods) == 1 else (look.layout,)
        yield write_figure(figure, folder, source.stem, parts, facts, look, write)
    for saliency in maps if save_raw else ():
        raw = Figure("raw", ".npy", data=npy(saliency.values))
        facts = map_facts(saliency, source)
        yield write_figure(raw, folder, source.stem, name_parts(saliency.method, saliency.facets), facts, write=write)


def name_parts(method: str, facets: Sequence[str]) -> tuple[str, ...]:
    """Return the parts of a map's file name: its method, and what else distinguishes it from the image's others."""
    return (method, *(facet for facet in facets if facet != method))


def npy(values: NDArray[np.float32]) -> bytes:
    """Return an array as the bytes of a .npy file, float32."""
    buffer = io.BytesIO()
    np.save(buffer, values.astype(np.float32))
    return buffer.getvalue()


def map_facts(saliency: SaliencyMap, source: Input) -> dict[str, Any]:
    """Return the facts of a map for JSON."""
    view = saliency.view
    return {
        "input": str(source.path),
        "model": saliency.model,
        "method": saliency.method,
        "layer": saliency.layer,
        "target": saliency.target,
        "index": saliency.index,
        "score": _number(saliency.score),
        "probability": _number(saliency.probability),
        "map": list(saliency.values.shape),
        "min": _number(saliency.values.min()),
        "max": _number(saliency.values.max()),
        "box": [round(side, 3) for side in view.box],
        "size": list(view.image),
        **saliency.facts,
    }


def _number(value: Any) -> float | None:
    """Return a number, None for NaN and infinity, which JSON does not have."""
    return float(value) if value is not None and np.isfinite(value) else None
