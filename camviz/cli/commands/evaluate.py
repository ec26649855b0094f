"""`camviz evaluate`: metrics of faithfulness, localization and more, with baselines and confidence intervals."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from camviz.cli.config import refuse_typed
from camviz.cli.console import Console
from camviz.cli.names import METRIC
from camviz.cli.options import (
    ClusterOptions,
    ComputeOptions,
    Fit,
    Images,
    Json,
    Layers,
    MethodOptions,
    ModelOptions,
    OutputOptions,
    ResumeOptions,
    Targets,
    several,
)
from camviz.cli.registry import command
from camviz.cli.session import Session, request_of
from camviz.errors import RequestError
from camviz.io.paths import place
from camviz.io.texts import json_text
from camviz.metrics import choose as choose_metrics
from camviz.metrics import split_settings

if TYPE_CHECKING:
    from camviz.io.inputs import Failed
    from camviz.metrics import Measure, Metric
    from camviz.metrics.ground_truth import Truth
    from camviz.metrics.results import Evaluation
    from camviz.registry import Entry
    from camviz.run.output.written import Written
    from camviz.run.resume import Run

Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help="Metrics or families shown by --list; a,b or repeated. Default: all that apply; with --rank faithfulness "
        "and localization.",
        show_default=False,
        autocompletion=METRIC.complete,
    ),
]
Boxes = Annotated[
    Path | None,
    typer.Option(
        "--boxes", help="Ground-truth boxes: Pascal VOC XML, a folder of it, or COCO JSON.", show_default=False
    ),
]
Masks = Annotated[
    Path | None,
    typer.Option(
        "--masks", help="Ground-truth masks: a folder of mask images named like the images.", show_default=False
    ),
]
MaskValue = Annotated[
    str,
    typer.Option(
        "--mask-value",
        help="Value of the target in masks: an index or #rrggbb. Default: nonzero.",
        show_default=False,
        rich_help_panel="Metrics",
    ),
]
Match = Annotated[
    Literal["label", "any"],
    typer.Option(
        "--match",
        help="label: use ground truth with the name of the target; any: use all of it.",
        rich_help_panel="Metrics",
    ),
]
Forwards = Annotated[
    int,
    typer.Option(
        "--forwards",
        min=4,
        help="Maximum number of forward passes per map and faithfulness metric.",
        rich_help_panel="Metrics",
    ),
]
Resamples = Annotated[
    int,
    typer.Option(
        "--resamples", min=100, help="Bootstrap resamples for the confidence intervals.", rich_help_panel="Metrics"
    ),
]
Rank = Annotated[
    bool,
    typer.Option(
        "--rank",
        help="Rank methods and layers; by default gradient methods and eigencam.",
    ),
]
Format = Annotated[
    Literal["table", "csv"], typer.Option("--format", help="Format of the printed result.", rich_help_panel="Output")
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        parser=place,
        metavar="PATH",
        help="Folder for the results.",
        show_default=False,
        rich_help_panel="Output",
    ),
]
Listing = Annotated[bool, typer.Option("--list", help="List the metrics and exit.")]
RANK_METHODS = ("gradients", "eigencam")


@command(
    section="Explain",
    order=4,
    examples=(
        "camviz evaluate",
        "camviz evaluate photos/ -m resnet50 --method gradcam,layercam",
        "camviz evaluate photos/ -m resnet50 --boxes Annotations/",
        "camviz evaluate photos/ -m resnet50 --rank",
        "camviz evaluate --list",
    ),
)
def evaluate(
    console: Console,
    context: typer.Context,
    how: MethodOptions,
    model: ModelOptions,
    compute: ComputeOptions,
    again: ResumeOptions,
    cluster: ClusterOptions,
    images: Images = None,
    layer: Layers = None,
    target: Targets = None,
    metric: Metrics = None,
    boxes: Boxes = None,
    masks: Masks = None,
    mask_value: MaskValue = "",
    match: Match = "label",
    rank: Rank = False,
    forwards: Forwards = 32,
    resamples: Resamples = 1000,
    fit: Fit = "model",
    format: Format = "table",
    output: Output = None,
    as_json: Json = False,
    listing: Listing = False,
) -> int:
    """Measure how faithful maps are, next to two baselines."""
    if listing:
        _list(console, as_json)
        return 0
    if as_json:
        refuse_typed(context, "format", "--json")
    from camviz.run.settings import EvaluateSettings

    cluster.refuse_parts("means and intervals need all images in one place", ray=False)
    methods, own = split_settings(how.settings())
    measures = choose_metrics(several(metric, ["faithfulness", "localization"] if rank else ["all"]), own)
    usual = RANK_METHODS if rank else ()
    more = {"methods": several(how.method, usual), "settings": tuple(methods)}
    request = request_of(model, how, compute, images, layer, target, fit, **more)
    settings = EvaluateSettings(
        request, *_measures(measures, boxes, masks, mask_value, match, not images), forwards, rank
    )
    if output is None and (again.overwrite or again.retry):
        raise RequestError(f"--{'overwrite' if again.overwrite else 'retry'} needs a run to resume", "-o FOLDER")
    out = OutputOptions(output or Path(), as_json, console.quiet)
    session = Session.of(settings, images, out, console, again, writes=output is not None, cluster=cluster)
    session.check(request)
    shown = _Printing(session, context, "json" if as_json else format, rank, resamples)
    return session.execute(settings, shown)


def _measures(
    measures: list[Measure], boxes: Path | None, masks: Path | None, value: str, match: str, bundled: bool
) -> tuple[tuple[Measure, ...], Truth | None, dict[str, str]]:
    """Return the metrics that can be measured, the ground truth, and what tells it from another."""
    from camviz.demo import sample_folder
    from camviz.metrics.evaluate import read_truth, with_truth
    from camviz.run.resume import digests

    if bundled and not boxes and not masks:
        boxes = sample_folder() / "annotations.json"
    truth = read_truth(boxes, masks, value, match)
    sources = digests((boxes, masks)) | {"match": match, "mask_value": value} if truth else {}
    return tuple(with_truth(measures, truth is not None)), truth, sources


@dataclass(frozen=True)
class _Printing:
    """Prints the evaluation of a run, and writes its tables where there is an output folder."""

    session: Session
    context: typer.Context
    form: str
    rank: bool
    resamples: int

    def __call__(self, run: Run, _failed: Failed) -> Iterator[Written]:
        from camviz.metrics.evaluate import evaluation_of
        from camviz.run.evaluate import read_measured, write_evaluation
        from camviz.run.settings import EvaluateSettings

        settings, console = run.job.settings, self.session.console
        assert isinstance(settings, EvaluateSettings)
        measured, model = read_measured(run.database, run.row), self.session.plans[0].name
        evaluation = evaluation_of(measured, settings.measures, model, self.resamples, settings.request.seed)
        advice = _recommend(evaluation, self.context) if self.rank and evaluation.rows else []
        self._print(evaluation, advice)
        if self.session.writes and evaluation.rows:
            for path in write_evaluation(evaluation, run.folder, run.open().write):
                console.say(f"wrote {path}")
        yield from ()

    def _print(self, evaluation: Evaluation, advice: list[str]) -> None:
        """Print the result on stdout; notes, and advice to the readers of other formats, on stderr."""
        from camviz.metrics.table import text

        console = self.session.console
        if evaluation.rows and self.form == "table":
            console.result(text(evaluation, bool(advice), console.terminal).rstrip("\n"), styled=True)
        elif evaluation.rows:
            console.result((evaluation.to_json() if self.form == "json" else evaluation.to_csv()).rstrip("\n"))
        for line in advice:
            (console.result if self.form == "table" else console.say)(line)
        for note in evaluation.notes:
            console.say(f"note: {note}")


def _recommend(found: Evaluation, context: typer.Context) -> list[str]:
    """The best method and layer, how sure that is, and the command that uses them."""
    ranking = found.ranking()
    if not ranking:
        return []
    best = ranking[0]
    layer = f" at {best.layer}" if best.layer not in ("", "input") else ""
    certain = f"first in {best.wins:.0%} of the resamples"
    return [f"best: {best.method}{layer}, {certain}", heatmap_command(context, best.method, best.layer)]


def heatmap_command(context: typer.Context, method: str, layer: str) -> str:
    """The `camviz heatmap` that draws what was found best: what was typed, but for what only concerns measuring."""
    shared = {one.name for group in (ModelOptions, MethodOptions, ComputeOptions) for one in fields(group)}
    shared = (shared | {"target", "fit"}) - {"method"}
    words = [str(word) for word in context.params["images"] or ()]
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name not in shared or source is None or source.name == "DEFAULT":
            continue
        value = context.params[name]
        values = value if isinstance(value, (list, tuple)) else [value]
        if name == "setting":
            values = ["=".join(pair) for pair in split_settings([tuple(text.split("=", 1)) for text in values])[0]]
        for one in values:
            words += [parameter.opts[0], *([] if getattr(parameter, "is_flag", False) else [str(one)])]
    words += ["--method", method] + (["--layer", layer] if layer not in ("", "input") else [])
    return shlex.join(["camviz", "heatmap", *words])


def _list(console: Console, as_json: bool) -> None:
    from camviz.metrics import FAMILIES, METRICS

    entries = sorted(METRICS, key=lambda entry: FAMILIES.index(entry.facts["family"]))
    for entry in entries if as_json else ():
        facts = {"name": entry.name, **entry.facts, "summary": entry.summary, "settings": entry.settings}
        console.result(json_text(facts))
    if not as_json:
        rows = [
            (e.name, e.facts["family"], e.facts["better"], e.facts["needs"], e.facts["paper"], _settings(e), e.summary)
            for e in entries
        ]
        console.table(["metric", "family", "better", "needs", "paper", "settings", "what"], rows)


def _settings(entry: Entry[Metric]) -> str:
    return " ".join(f"{name}={default}" for name, default in entry.settings.items()) or "–"
