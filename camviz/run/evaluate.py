"""Run images through the metrics; read the rows back from the run database, and write them as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from camviz.errors import InputError
from camviz.io.inputs import Input
from camviz.metrics.measured import Measured
from camviz.metrics.results import Evaluation
from camviz.run.database.database import Database
from camviz.run.database.records import Record, plain
from camviz.run.database.rows import JobRow
from camviz.run.job import Load, Task, Tick
from camviz.run.output.files import Write

if TYPE_CHECKING:
    from camviz.metrics.evaluate import Evaluator
    from camviz.run.context import RunContext
    from camviz.run.reading import Ready
    from camviz.run.settings import EvaluateSettings

_STAGES = 3  # whose last layers are ranked


def evaluate_task(settings: EvaluateSettings, load: Load, tick: Tick) -> Task:
    """Return the task of measuring maps; its records have rows of metrics, and no files."""
    from camviz.engine.explain import Explainer
    from camviz.metrics.evaluate import Evaluator
    from camviz.models.layers import stages
    from camviz.run.heatmap import task_of

    job, model = settings.request, load(0)
    if settings.rank and not job.layers:
        job = replace(job, layers=tuple(layer.path for layer in stages(model)[-_STAGES:]))
    explainer = Explainer(model, job, tick)
    evaluator = Evaluator(explainer, settings.measures, settings.truth, settings.forwards)
    task = task_of(explainer, partial(measure, evaluator))
    return task if settings.request.layers else replace(task, layers=[layer.path for layer in explainer.layers])


def measure(evaluator: Evaluator, inputs: Iterable[Input], context: RunContext) -> Iterator[Record]:
    """Yield each image's record; its predictions are what was measured."""
    from camviz.models.extra_inputs import batch_size
    from camviz.run.flow import Stages
    from camviz.run.reading import read_input, shape_of

    request, model = evaluator.explainer.request, evaluator.explainer.model

    def compute(group: list[Ready]) -> Sequence[Measured | InputError]:
        images, inputs, views = ([getattr(ready, name) for ready in group] for name in ("image", "values", "view"))
        return evaluator(images, inputs, views, [ready.source.name for ready in group])

    def write(source: Input, _ready: Ready, measured: Measured) -> Record:
        return Record(source, predictions=(plain(measured.to_dict()),))

    stages = Stages(partial(read_input, model, fit=request.fit), shape_of, [compute], write, pad=False)
    return context.flow(inputs, stages, batch_size(model, request.batch_size))


def read_measured(database: Database, row: JobRow) -> list[Measured]:
    """Return what a job measured, image by image in the order of their names."""
    images = database.inputs(row.id, "done")
    with database.decoding():
        return [Measured.from_dict(image.name, values) for image in images for values in image.predictions]


def write_evaluation(evaluation: Evaluation, folder: Path, write: Write) -> list[Path]:
    """Write results.csv, a line per image and map, and summary.csv and summary.json, means and intervals."""
    files = {
        "results.csv": evaluation.rows_csv(),
        "summary.csv": evaluation.to_csv(),
        "summary.json": evaluation.to_json() + "\n",
    }
    for name, text in files.items():
        write(folder / name, text.encode("utf-8", "surrogateescape"))
    return [folder / name for name in files]
