"""Where the cells of a map lie in the input, from the receptive fields of the layer that it has the grid of."""

from __future__ import annotations

from collections.abc import Sequence

from camviz.engine.probe import Probe
from camviz.errors import CamvizError
from camviz.models.receptive import cell_area, receptive_fields
from camviz.models.receptive_field import Field
from camviz.models.survey import Survey
from camviz.types import Model

Area = tuple[float, float, float, float]  # (left, top, right, bottom) in fractions of the input


class CellAreas:
    """The areas of the input that maps tile; receptive fields are traced once per input size.

    `seen`: a survey of the model, whose receptive fields are used for inputs of its size.
    """

    def __init__(self, model: Model, seen: Survey) -> None:
        self.model = model
        self._fields = {seen.input_size: seen.fields}

    def fields_of(self, size: tuple[int, int]) -> dict[str, Field | None]:
        """Return the receptive fields of all layers for inputs of (height, width), empty where they are not known."""
        if size not in self._fields:
            try:
                self._fields[size] = receptive_fields(self.model.module, size, self.model.name)
            except CamvizError:
                self._fields[size] = {}
        return self._fields[size]

    def of(self, probes: Sequence[Probe], shape: tuple[int, ...]) -> Area | None:
        """Return the area that maps (n, h, w) of one layer's own grid tile; None where it is not known."""
        probe, (height, width) = probes[0], shape[-2:]
        size = (probe.inputs.shape[2], probe.inputs.shape[3])
        captured = probe.reading.passed.captured.get(probe.layer.path)
        if len(probes) > 1 or captured is None or probe.layer.layout.startswith("clip"):
            return None
        if (height, width) != tuple(probe.layer.to_maps(captured, size).shape[2:]):
            return None
        return cell_area(self.fields_of(size).get(probe.layer.path), (height, width), size)
