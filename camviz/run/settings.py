"""The settings of every command over images. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from camviz.run.job import Settings
from camviz.types import ModelRequest

if TYPE_CHECKING:
    from camviz.feature_maps.request import FeatureRequest
    from camviz.metrics import Measure
    from camviz.metrics.ground_truth import Truth


@dataclass(frozen=True)
class HeatmapSettings(Settings):
    """The settings of `camviz heatmap`."""

    command = "heatmap"
    clips = True

    @property
    def drawn_later(self) -> bool:
        return self.request.look.scale == "run"


@dataclass(frozen=True)
class FeatureSettings(Settings):
    """The settings of `camviz features`; `features` are those of its figures, `references` digests of their images."""

    features: FeatureRequest
    references: Mapping[str, str] = field(default_factory=dict)

    command = "features"

    @property
    def together(self) -> bool:
        return self.features.twice

    def values(self) -> dict[str, Any]:
        request = self.request
        shared = {"model": asdict(request.model), "layers": request.layers, "target": "".join(request.targets)}
        shared |= {"references": dict(self.references)} if self.references else {}
        return {**asdict(self.features), **shared, "precision": request.precision, "device": request.device}


@dataclass(frozen=True)
class CompareSettings(Settings):
    """The settings of `camviz compare`: models with their layers and names; `top` images on the summary sheet.

    `reference`: the number of the model whose predicted class is explained where there is no target.
    """

    compared: tuple[ModelRequest, ...]
    layers: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]
    reference: int = 0
    layout: Literal["figure", "strip"] = "figure"
    caption: bool = True
    top: int = 8

    command = "compare"
    drawn_later = True

    @property
    def models(self) -> tuple[ModelRequest, ...]:
        loaded = enumerate(self.compared)
        return tuple(
            replace(model, weights="default") if self.randomized(number) else model for number, model in loaded
        )

    def randomized(self, number: int) -> bool:
        """Whether a model's weights are randomized when it is loaded."""
        return self.compared[number].weights == "random"

    @property
    def model_names(self) -> tuple[str, ...]:
        return self.names if len(self.names) > 1 else ("",)

    def values(self) -> dict[str, Any]:
        own: dict[str, Any] = {
            "models": [asdict(request) for request in self.compared],
            "model_layers": self.layers,
            "names": self.names,
        }
        own |= {"reference": self.reference, "layout": self.layout}
        return {**asdict(self.request), **own, "figure_caption": self.caption}


@dataclass(frozen=True)
class ErrorSettings(Settings):
    """The settings of `camviz errors`. `table`: labels by image, else folders have the names of classes."""

    table: Mapping[str, str] | None = None
    removal: bool = True

    command = "errors"
    drawn_later = True

    def values(self) -> dict[str, Any]:
        own = {"labels_from": self.table or "folders", "removal": self.removal}
        return {**asdict(self.request), **own}


@dataclass(frozen=True)
class EvaluateSettings(Settings):
    """The settings of `camviz evaluate`. `sources` tells one ground truth from another.

    `rank`: without layers measure those at the end of the last stages.
    """

    measures: tuple[Measure, ...]
    truth: Truth | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    forwards: int = 32
    rank: bool = False

    command = "evaluate"

    def values(self) -> dict[str, Any]:
        own: dict[str, Any] = {"metrics": {measure.name: measure.settings for measure in self.measures}}
        own |= {"truth": self.sources, "forwards": self.forwards, "rank": self.rank}
        return {**asdict(self.request), **own}


@dataclass(frozen=True)
class PatchSettings(Settings):
    """The settings of `camviz patches`: which channels, and how many patches of each."""

    channels: tuple[str, ...] = ()
    rank: Literal["energy", "peak"] = "energy"
    top: int = 8
    format: str = "png"

    command = "patches"
    together = True

    def values(self) -> dict[str, Any]:
        own = {"channels": self.channels, "rank": self.rank, "top": self.top, "format": self.format}
        return {**asdict(self.request), **own}


@dataclass(frozen=True)
class ConceptSettings(Settings):
    """The settings of `camviz concepts`: how many concepts, and how many crops of each."""

    concepts: int = 6
    top: int = 4
    format: str = "png"

    command = "concepts"
    together = True

    def values(self) -> dict[str, Any]:
        own = {"concepts": self.concepts, "top": self.top, "format": self.format}
        return {**asdict(self.request), **own}


@dataclass(frozen=True)
class ReconstructSettings(Settings):
    """The settings of `camviz reconstruct`: the steps of the optimization, and the weight of total variation."""

    steps: int = 256
    tv: float = 2.0

    command = "reconstruct"

    def values(self) -> dict[str, Any]:
        return {**asdict(self.request), "steps": self.steps, "tv": self.tv}
