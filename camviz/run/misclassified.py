"""Find misclassified images of a labeled folder, explain them into the run database, and draw figures and a page."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from camviz.comparison.numbers import placed
from camviz.errors import InputError, RequestError
from camviz.io.inputs import Failed, Input
from camviz.io.tables import csv_text
from camviz.misclassified.explain import explain_error, predict
from camviz.misclassified.truth import TrueLabels
from camviz.models.extra_inputs import batch_size, inputs_of
from camviz.render.bar import percent
from camviz.render.names import blank_note, method_name
from camviz.render.side_by_side import Cell, Difference, Group, side_by_side
from camviz.run.compare import encoded
from camviz.run.database.database import Database
from camviz.run.database.records import Record, SavedMap
from camviz.run.database.rows import JobRow
from camviz.run.job import Load, Task, Tick
from camviz.run.output.files import result_path
from camviz.run.output.written import Written
from camviz.run.shared_scale import drawer_of, settled_for_run
from camviz.tasks.classification import label_of
from camviz.types import Look, SaliencyMap

if TYPE_CHECKING:
    from camviz.engine.explain import Explainer
    from camviz.misclassified.explain import Prediction
    from camviz.run.context import RunContext
    from camviz.run.resume import Run
    from camviz.run.settings import ErrorSettings

PAGE, TABLE = "errors.html", "errors.csv"


def error_task(settings: ErrorSettings, load: Load, tick: Tick) -> Task:
    """Return the task of finding misclassified images; records have the prediction and, of a wrong one, the maps."""
    from camviz.engine.explain import Explainer
    from camviz.misclassified.explain import check_classifier
    from camviz.misclassified.truth import TrueLabels
    from camviz.run.heatmap import task_of

    model = load(0)
    explainer = Explainer(model, settings.request, tick)
    check_classifier(explainer)
    truth = TrueLabels(model.labels, settings.table)
    return task_of(explainer, partial(misclassified, explainer, truth, settings.removal))


def misclassified(
    explainer: Explainer, truth: TrueLabels, removal: bool, inputs: Iterable[Input], context: RunContext
) -> Iterator[Record]:
    """Yield the record of each image; a misclassified one has maps, and no files."""
    from camviz.run.flow import Stages
    from camviz.run.reading import Ready, read_input

    def read(source: Input) -> tuple[Ready, int]:
        try:
            index = truth.index(source.path)
        except InputError as error:  # a wrong request if it is so for every image
            raise RequestError(error.message, error.hint) from error
        return read_input(explainer.model, source, explainer.request.fit), index

    def compute(group: list[tuple[Ready, int]]) -> list[tuple[dict[str, Any], list[SaliencyMap]]]:
        with inputs_of(explainer.model, [ready.image for ready, _ in group], explainer.request.fit):
            return explained(group)

    def explained(group: list[tuple[Ready, int]]) -> list[tuple[dict[str, Any], list[SaliencyMap]]]:
        answers = predict(explainer, [ready.values for ready, _ in group], [index for _, index in group])
        results = []
        for (ready, _), answer in zip(group, answers, strict=True):
            maps: list[SaliencyMap] = []
            if not answer.correct:
                maps = explain_error(explainer, ready.image, ready.values, ready.view, answer, removal)
            results.append((_prediction(answer, explainer.task.labels), maps))
        return results

    def write(source: Input, _read: object, result: tuple[dict[str, Any], list[SaliencyMap]]) -> Record:
        prediction, maps = result
        return Record(source, 0.0, tuple(map(SavedMap.of, maps)), (), (prediction,))

    stages = Stages(read, lambda pair: pair[0].values.shape, [compute], write, pad=False)
    return context.flow(inputs, stages, batch_size(explainer.model, explainer.request.batch_size))


def _prediction(answer: Prediction, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "label": label_of(answer.predicted, labels),
        "index": answer.predicted,
        "score": None,
        "probability": answer.probability,
        "true": label_of(answer.true, labels),
        "true_index": answer.true,
        "true_probability": answer.true_probability,
    }


@dataclass(frozen=True)
class Tally:
    """The confusions of a classifier: how often a true class was predicted as another."""

    images: int
    right: int
    confusions: tuple[tuple[str, str, int], ...]  # (true, predicted, how often), the most frequent first
    of_class: dict[str, int]  # images of each true class

    @classmethod
    def of(cls, database: Database, row: JobRow) -> Tally:
        """Count the predictions of a job."""
        pairs: Counter[tuple[str, str]] = Counter()
        for judged in database.inputs(row.id, "done"):
            with database.decoding():
                pairs.update((said["true"], said["label"]) for said in judged.predictions)
        wrong = [(true, label, count) for (true, label), count in pairs.items() if true != label]
        of_class: Counter[str] = Counter()
        for (true, _), count in pairs.items():
            of_class[true] += count
        wrong.sort(key=lambda confusion: (-confusion[2], *confusion[:2]))
        total = sum(pairs.values())
        return cls(total, total - sum(count for *_, count in wrong), tuple(wrong), dict(of_class))

    @property
    def accuracy(self) -> float:
        """The share of correct predictions."""
        return self.right / self.images if self.images else float("nan")

    def __str__(self) -> str:
        if not self.images:
            return "no image could be judged"
        lines = [f"{self.right} of {self.images} right, {self.accuracy:.1%}"]
        for true, label, count in self.confusions[:10]:
            lines.append(f"  {count} of {self.of_class[true]} '{true}' taken for '{label}'")
        if len(self.confusions) > 10:
            lines.append(f"  and {len(self.confusions) - 10} other confusions: see {PAGE}")
        return "\n".join(lines)


class Drawing:
    """Draws the misclassified images of a run, and writes its table and its page."""

    def __init__(self, run: Run, look: Look) -> None:
        self.run, self.database, self.row, self.folder = run, run.database, run.row, run.folder
        self.write = run.open().write
        self.look = settled_for_run(self.database, self.row, look)

    def __call__(self, failed: Failed) -> Iterator[Written]:
        """Draw each missing figure; then write the table and the page."""
        for record in drawer_of(self.run, failed).draw(self._figure):
            yield from record.written
        if not self.database.counts(self.row.id)["done"]:
            return
        for path, make in ((self.folder / TABLE, self._table), (self.folder / PAGE, self._page)):
            data = make().encode("utf-8", "surrogateescape")
            if not path.exists() or path.read_bytes() != data:
                self.write(path, data)
                yield Written(path, {"kind": path.suffix[1:]}, len(data))

    def _figure(self, source: Input, maps: list[SaliencyMap]) -> Iterator[Written]:
        said, truth, contrast = maps
        removal = said.facts.get("removal")
        change = ""
        if removal:
            change = f"masking {percent(removal['share'])} of the pixels changes the prediction to {removal['becomes']}"
        elif "removal" in said.facts:
            change = "no masked region changes the prediction"
        cells = (
            Cell(f"predicted: {said.target}", said, (percent(said.probability or 0),)),
            Cell(f"true: {truth.target}", truth, (percent(truth.probability or 0),)),
        )
        difference = Difference("predicted − true", placed(contrast), (blank_note(contrast.values, "both"),))
        group = Group(said.image, (source.name,), cells, (difference,))
        outline = "outline: smallest region whose removal changes the prediction" if removal else ""
        contrast_name = f"predicted − true: {method_name(said.method)} for the difference of the two scores"
        caption = tuple(filter(None, (f"{method_name(said.method)} · {said.layer}", contrast_name, change, outline)))
        style = self.look.style
        sheet = side_by_side([group], self.look, style, caption)
        data, suffix = encoded("error", sheet, style, self.look.format, source.name)
        path = result_path(self.folder, source.stem, ("errors",), suffix)
        self.write(path, data)
        facts: dict[str, Any] = {
            "kind": "error",
            "input": str(source.path),
            "predicted": said.target,
            "true": truth.target,
        }
        facts |= {"probability": said.probability, "true_probability": truth.probability, "removal": removal}
        yield Written(path, facts, len(data))

    def _wrong(self) -> Iterator[tuple[Any, dict[str, Any], list[Any]]]:
        for row in self.database.inputs(self.row.id, "done"):
            with self.database.decoding():
                wrong = [said for said in row.predictions if said["true"] != said["label"]]
            yield from ((row, said, self.database.files(row.id)) for said in wrong)

    def _table(self) -> str:
        columns = ["image", "true", "predicted", "probability", "true_probability", "removed_share", "becomes"]
        rows = []
        for row, said, files in self._wrong():
            removal = next((file.facts.get("removal") for file in files), None) or {}
            facts = [said[key] for key in ("true", "label", "probability", "true_probability")]
            rows.append([row.name, *facts, removal.get("share"), removal.get("becomes")])
        return csv_text(columns, rows)

    def _page(self) -> str:
        from camviz.render.html import errors_page

        shown: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row, said, files in self._wrong():
            links = [quote(os.fsencode(file.path), safe="/") for file in files]
            entry = {"name": row.name, "probability": percent(said["probability"]), "figures": links}
            shown.setdefault((said["true"], said["label"]), []).append(entry)
        tally = Tally.of(self.database, self.row)
        confusions = [
            {
                "true": true,
                "predicted": label,
                "count": count,
                "of": tally.of_class[true],
                "images": shown[true, label],
            }
            for true, label, count in tally.confusions
        ]
        return errors_page(tally.images, tally.right, confusions, tally.of_class)
