"""Images through the metrics: decode, batch, measure; and the files of what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from camviz.engine.batches import by_shape
from camviz.errors import InputError
from camviz.hooks.devices import default_batch_size
from camviz.io.inputs import Failed, Input
from camviz.metrics.evaluate import Evaluator
from camviz.metrics.results import Evaluation
from camviz.run.outcome import Outcome
from camviz.run.output.files import write_file
from camviz.run.reading import read_inputs


def measure(
    evaluator: Evaluator,
    inputs: Iterable[Input],
    fit: str,
    outcome: Outcome,
    failed: Failed,
    tick: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Measure all images; `tick` hears how many are done. One that fails is told to `failed`."""
    job = evaluator.explainer.job
    size = job.batch_size or default_batch_size(evaluator.explainer.model.device)
    ready = read_inputs(evaluator.explainer.model, inputs, fit, failed)
    for group in by_shape(ready, size, key=lambda one: one.values.shape):
        names = [one.source.name for one in group]
        try:
            batch = ([one.image for one in group], [one.values for one in group], [one.view for one in group])
            for number, error in evaluator(*batch, names):
                if error:
                    failed(names[number], error)
                else:
                    outcome.done += 1
                    tick(outcome.done)
        except InputError as error:  # an input size the model does not take
            for name in names:
                failed(name, error)
    return evaluator.result()


def write_evaluation(found: Evaluation, folder: Path) -> list[Path]:
    """results.csv, one line per image and map; summary.csv and summary.json, means and intervals."""
    files = {"results.csv": found.rows_csv(), "summary.csv": found.to_csv(), "summary.json": found.to_json() + "\n"}
    for name, text in files.items():
        write_file(folder / name, text.encode("utf-8", "surrogateescape"))
    return [folder / name for name in files]
