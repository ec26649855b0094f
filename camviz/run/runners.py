"""How each command runs: one function per step, by the type of its settings. Nothing imports torch before `begin`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import singledispatch

from camviz.io.inputs import Failed
from camviz.render.overlay import LARGEST, SMALLEST
from camviz.run.job import Load, Settings, Task, Tick
from camviz.run.output.written import COARSE, Written
from camviz.run.resume import Run
from camviz.run.settings import (
    CompareSettings,
    ConceptSettings,
    ErrorSettings,
    EvaluateSettings,
    FeatureSettings,
    HeatmapSettings,
    PatchSettings,
    ReconstructSettings,
)


@singledispatch
def begin(settings: Settings, load: Load, tick: Tick) -> Task:
    """Load the models of a job, and check everything that depends on them. Imports torch."""
    raise NotImplementedError(settings.command)


@singledispatch
def finish(settings: Settings, run: Run, failed: Failed) -> Iterator[Written]:
    """Write the files that need all images: figures on a shared color scale, sheets, tables."""
    yield from ()


@singledispatch
def remarks(settings: Settings, run: Run, kinds: Mapping[str, int]) -> Iterator[str]:
    """Yield lines for the end of a run; `kinds` counts the files that it has written."""
    yield from ()


@begin.register
def _(settings: HeatmapSettings, load: Load, tick: Tick) -> Task:
    from camviz.run.heatmap import heatmap_task

    return heatmap_task(settings.request, load, tick)


@finish.register
def _(settings: HeatmapSettings, run: Run, failed: Failed) -> Iterator[Written]:
    from camviz.run.shared_scale import draw_maps, drawer_of

    if settings.drawn_later:
        write = run.open().write
        for record in draw_maps(drawer_of(run, failed), settings.request.look, settings.request.save_raw, write):
            yield from record.written


@remarks.register
def _(settings: HeatmapSettings, run: Run, kinds: Mapping[str, int]) -> Iterator[str]:
    look = settings.request.look
    if look.scale == "image" and not look.colorbar and kinds.get("overlay", 0) + kinds.get("heatmap", 0) > 1:
        yield "scale: each map has its own (--scale row or run shares one, --layout panel shows it)"
    if kinds.get("enlarged") and not look.full_size:
        yield f"size: images with a side below {SMALLEST} pixels are drawn enlarged (--full-size keeps their size)"
    if kinds.get("reduced") and not look.full_size:
        yield f"size: images with a side above {LARGEST} pixels are drawn reduced (--full-size keeps their size)"
    if kinds.get("coarse"):
        yield f"grid: maps have {COARSE} cells or fewer on a side (an earlier --layer or larger --input-size has more)"


@begin.register
def _(settings: FeatureSettings, load: Load, tick: Tick) -> Task:
    from camviz.run.features import feature_task

    return feature_task(settings, load)


@begin.register
def _(settings: CompareSettings, load: Load, tick: Tick) -> Task:
    from camviz.run.compare import compare_task

    return compare_task(settings, load)


@finish.register
def _(settings: CompareSettings, run: Run, failed: Failed) -> Iterator[Written]:
    from camviz.run.compare import Drawing

    yield from Drawing(run, settings)(failed)


@begin.register
def _(settings: ErrorSettings, load: Load, tick: Tick) -> Task:
    from camviz.run.misclassified import error_task

    return error_task(settings, load, tick)


@finish.register
def _(settings: ErrorSettings, run: Run, failed: Failed) -> Iterator[Written]:
    from camviz.run.misclassified import Drawing

    yield from Drawing(run, settings.request.look)(failed)


@remarks.register
def _(settings: ErrorSettings, run: Run, kinds: Mapping[str, int]) -> Iterator[str]:
    from camviz.run.misclassified import Tally

    yield from str(Tally.of(run.database, run.row)).splitlines()


@begin.register
def _(settings: EvaluateSettings, load: Load, tick: Tick) -> Task:
    from camviz.run.evaluate import evaluate_task

    return evaluate_task(settings, load, tick)


@begin.register
def _(settings: PatchSettings, load: Load, tick: Tick) -> Task:
    from camviz.run.patches import patch_task

    return patch_task(settings, load)


@remarks.register
def _(settings: PatchSettings, run: Run, kinds: Mapping[str, int]) -> Iterator[str]:
    if 0 < run.outcome.done < settings.top:
        yield f"note: {run.outcome.done} image(s) for --top {settings.top}: that many patches at most"


@begin.register
def _(settings: ConceptSettings, load: Load, tick: Tick) -> Task:
    from camviz.run.concepts import concept_task

    return concept_task(settings, load)


@begin.register
def _(settings: ReconstructSettings, load: Load, tick: Tick) -> Task:
    from camviz.run.reconstruct import reconstruct_task

    return reconstruct_task(settings, load, tick)
