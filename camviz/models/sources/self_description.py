"""What a Python file says of its model by four names beside it: labels, preprocess, inputs, outputs.

labels = ["cat", "dog"]                        # or the path of a file with them
preprocess = transforms.Compose([...])         # of torchvision, timm, albumentations, or a function of a PIL image
def inputs(batch): return batch, metadata      # the arguments of forward for a batch (n, c, h, w)
def outputs(raw): return raw["logits"]         # logits, or torchvision's dict of boxes, scores and labels, or masks
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from camviz.errors import ModelError
from camviz.models.checkpoint.content import names_by_index
from camviz.models.labels import read_labels
from camviz.types import Model, Preprocessing

NAMES = ("labels", "preprocess", "inputs", "outputs")


def described(model: Model, namespace: Mapping[str, Any], source: str) -> Model:
    """Return the model with what `says` holds under `NAMES`; `source` is where it was written, for the notes.

    Raises `ModelError` for a value that cannot be used.
    """
    taken_values = {name: namespace[name] for name in NAMES if namespace.get(name) is not None}
    taken = []
    if "labels" in taken_values and (labels := _labels(taken_values["labels"], source)):
        model = replace(model, labels=labels)
        taken.append(f"labels ({len(labels)})")
    for name in ("preprocess", "inputs", "outputs"):
        if name in taken_values and not callable(taken_values[name]):
            raise ModelError(
                f"'{name}' in {source} is a {type(taken_values[name]).__name__}, not a function", f"def {name}(…): …"
            )
    if "preprocess" in taken_values:
        from PIL import Image as PILImage

        from camviz.models.measured_view import apply

        values = apply(taken_values["preprocess"], PILImage.new("RGB", (640, 480), (128, 128, 128)))
        channels, height, width = values.shape
        how = Preprocessing(
            (height, width), None, (0.0,) * channels, (1.0,) * channels, function=taken_values["preprocess"]
        )
        model = replace(model, preprocessing=how)
        taken.append(f"preprocess ({channels}×{height}×{width})")
    functions = {name: taken_values[name] for name in ("inputs", "outputs") if name in taken_values}
    if functions:
        from camviz.models.adapters import adapt

        adapt(model.module, **functions)
    taken += functions
    return replace(model, notes=(*model.notes, f"from {source}: {', '.join(taken)}")) if taken else model


def _labels(value: Any, source: str) -> tuple[str, ...]:
    if isinstance(value, (str, Path)):
        path = Path(source).parent / value
        return read_labels(path if path.exists() else Path(value))
    names = names_by_index(value)
    if not names:
        raise ModelError(
            f"'labels' in {source} is a {type(value).__name__} without names",
            'labels = ["cat", "dog"], or a file of them',
        )
    return names
