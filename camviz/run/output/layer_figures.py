"""Figures that belong to a layer, not to a picture: where they go, what is told of them."""

from __future__ import annotations

import re
from pathlib import Path

from camviz.run.output.written import Written, write_artefact
from camviz.types import Artefact, Look


def write_figure(artefact: Artefact, folder: Path, model: str, layer: str, format: str = "png") -> Written:
    """Write KIND/MODEL.LAYER.png, as `filters/resnet50.conv1.png`."""
    name = re.sub(r"[^\w.+-]+", "_", model)
    facts = {"model": model, "layer": layer, **artefact.facts}
    return write_artefact(artefact, folder / artefact.kind, name, [layer], facts, Look(format=format))
