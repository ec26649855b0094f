"""The settings of every command over images. Nothing here imports torch before `begin`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from camviz.io.inputs import Failed
from camviz.run.job import Load, Settings, Task, Tick
from camviz.run.output.written import Written
from camviz.types import ModelRequest

if TYPE_CHECKING:
    from camviz.feature_maps.request import FeatureRequest
    from camviz.metrics import Measure
    from camviz.metrics.ground_truth import Truth
    from camviz.run.resume import Run


@dataclass(frozen=True)
class HeatmapSettings(Settings):
    """The settings of `camviz heatmap`."""

    command = "heatmap"
    clips = True

    @property
    def drawn_later(self) -> bool:
        return self.request.look.scale == "run"

    def begin(self, load: Load, tick: Tick) -> Task:
        from camviz.run.heatmap import heatmap_task

        return heatmap_task(self.request, load, tick)

    def finish(self, run: Run, failed: Failed) -> Iterator[Written]:
        from camviz.run.shared_scale import draw_run

        if self.drawn_later:
            yield from draw_run(run, self.request.look, self.request.save_raw, failed)

    def remarks(self, run: Run, kinds: Mapping[str, int]) -> Iterator[str]:
        look = self.request.look
        if look.scale == "image" and not look.colorbar and kinds.get("overlay", 0) + kinds.get("heatmap", 0) > 1:
            yield "scale: each map has its own (--scale row or run shares one, --layout panel shows it)"


@dataclass(frozen=True)
class FeatureSettings(Settings):
    """The settings of `camviz features`; `features` are those of its figures."""

    features: FeatureRequest

    command = "features"

    @property
    def together(self) -> bool:
        return self.features.twice

    def values(self) -> dict[str, Any]:
        request = self.request
        shared = {"model": asdict(request.model), "layers": request.layers, "target": "".join(request.targets)}
        return {**asdict(self.features), **shared, "precision": request.precision, "device": request.device}

    def begin(self, load: Load, tick: Tick) -> Task:
        from camviz.run.features import feature_task

        return feature_task(self, load)


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
        return tuple(replace(one, weights="default") if self.randomized(number) else one for number, one in loaded)

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

    def begin(self, load: Load, tick: Tick) -> Task:
        from camviz.run.compare import compare_task

        return compare_task(self, load)

    def finish(self, run: Run, failed: Failed) -> Iterator[Written]:
        from camviz.run.compare import Drawing

        yield from Drawing(run, self)(failed)


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

    def begin(self, load: Load, tick: Tick) -> Task:
        from camviz.run.misclassified import error_task

        return error_task(self, load, tick)

    def finish(self, run: Run, failed: Failed) -> Iterator[Written]:
        from camviz.run.misclassified import Drawing

        yield from Drawing(run, self.request.look)(failed)

    def remarks(self, run: Run, kinds: Mapping[str, int]) -> Iterator[str]:
        from camviz.run.misclassified import Tally

        yield from str(Tally.of(run.database, run.row)).splitlines()


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

    def begin(self, load: Load, tick: Tick) -> Task:
        from camviz.run.evaluate import evaluate_task

        return evaluate_task(self, load, tick)


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

    def begin(self, load: Load, tick: Tick) -> Task:
        from camviz.run.patches import patch_task

        return patch_task(self, load)

    def remarks(self, run: Run, kinds: Mapping[str, int]) -> Iterator[str]:
        if 0 < run.outcome.done < self.top:
            yield f"note: {run.outcome.done} image(s) for --top {self.top}: that many patches at most"


@dataclass(frozen=True)
class ReconstructSettings(Settings):
    """The settings of `camviz reconstruct`: the steps of the optimization, and the weight of total variation."""

    steps: int = 256
    tv: float = 2.0

    command = "reconstruct"

    def values(self) -> dict[str, Any]:
        return {**asdict(self.request), "steps": self.steps, "tv": self.tv}

    def begin(self, load: Load, tick: Tick) -> Task:
        from camviz.run.reconstruct import reconstruct_task

        return reconstruct_task(self, load, tick)
