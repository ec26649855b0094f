"""Write figures of a layer, which belong to no image."""

from __future__ import annotations

import re
from pathlib import Path

from camviz.run.output.files import Write, write_file
from camviz.run.output.written import Written, write_figure
from camviz.types import Figure, Look


def write_layer_figure(
    figure: Figure, folder: Path, model: str, layer: str, format: str = "png", write: Write = write_file
) -> Written:
    """Write KIND/MODEL_LAYER.png, as `filters/resnet50_conv1.png`."""
    name = re.sub(r"[^\w.+-]+", "_", model)
    facts = {"model": model, "layer": layer, **figure.facts}
    return write_figure(figure, folder / figure.kind, name, [layer], facts, Look(format=format), write)
