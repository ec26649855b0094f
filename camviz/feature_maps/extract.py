"""Extract feature maps of all requested layers in one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from camviz.engine.cells import CellAreas
from camviz.engine.forward import ForwardRequest, run_forward
from camviz.engine.probe import Probe, Reading
from camviz.feature_maps.maps import FeatureMaps
from camviz.models.extra_inputs import inputs_of
from camviz.models.outputs import surveyed, understand
from camviz.models.receptive import cell_area
from camviz.models.survey import Survey
from camviz.tasks import task_of
from camviz.types import Image, Layer, Model, View


class Extractor:
    """Extract the feature maps of layers; with a `target` also the contribution of each channel to its score.

    With `fields` the maps carry the receptive field of their units. `seen`: a survey of the model.
    """

    def __init__(
        self,
        model: Model,
        layers: Sequence[Layer],
        target: str = "",
        precision: str = "fp32",
        fields: bool = False,
        fit: str = "model",
        seen: Survey | None = None,
    ) -> None:
        self.fit, self.shown = fit, fields
        self.task, self.wanted = None, None
        seen = seen or surveyed(model)
        if target:
            model, seen = understand(model, seen)
            self.task = task_of(model, seen.output)
            self.wanted = self.task.parse([target])[0]
            self.task.check([self.wanted], seen.output)
        self.model, self.cells = model, CellAreas(model, seen)
        self.ask = ForwardRequest(model, tuple(layers), bool(target), self.task, precision)
        self.names = [layer.path for layer in layers]

    def __call__(
        self, images: Sequence[Image], inputs: Sequence[NDArray[np.float32]], views: Sequence[View]
    ) -> list[list[FeatureMaps]]:
        """Return for each image the maps of each layer; inputs have one shape."""
        batch = torch.from_numpy(np.stack(inputs)).to(self.model.device)
        targets = []
        size = batch.shape[2], batch.shape[3]
        attended = self.task.attending(self.model.module, size) if self.task else nullcontext()
        with attended, inputs_of(self.model, images, self.fit):
            passed = run_forward(self.ask, batch)
        if self.task and self.wanted:
            rows = zip(passed.rows, views, strict=True)
            targets = [self.task.choose(self.wanted, row, view)[0] for row, view in rows]
        reading = Reading(passed, targets)
        extracted: list[list[FeatureMaps]] = [[] for _ in images]
        for layer in self.ask.layers:
            probe = Probe(reading, layer, facts=[{} for _ in images])
            values = probe.activations.cpu().numpy()
            size = (batch.shape[2], batch.shape[3])
            field = self.cells.fields_of(size).get(layer.path)
            area = cell_area(field, (values.shape[2], values.shape[3]), size)
            contributions = None
            if targets:
                contributions = (probe.gradients.mean((2, 3)) * probe.activations.mean((2, 3))).cpu().numpy()
            for i, (image, view) in enumerate(zip(images, views, strict=True)):
                contribution = contributions[i] if contributions is not None else None
                maps = FeatureMaps(
                    values[i],
                    layer.path,
                    self.model.name,
                    image,
                    replace(view, cells=area),
                    contribution,
                    receptive_field=field if self.shown else None,
                )
                extracted[i].append(maps)
        return extracted
