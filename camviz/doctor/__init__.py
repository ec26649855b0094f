"""Why is my map blank or odd? An examination of a model on images, and what each check finds in it.

To add a check, write a decorated function (examination) -> `Finding` or None in a file here.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from camviz.registry import Registry

if TYPE_CHECKING:
    from camviz.doctor.examination import Examination

GRADES = ("serious", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """Something that was found: `seen` in one sentence with its `evidence`, and the command that mends it.

    serious: the maps mean nothing. warning: they may mislead. note: worth knowing, nothing is wrong.
    """

    seen: str
    evidence: str
    command: str
    grade: Literal["serious", "warning", "note"] = "serious"
    name: str = ""


CHECKS: Registry[Callable[[Examination], Finding | None]] = Registry("check", __name__)


@dataclass(frozen=True)
class Diagnosis:
    """What was examined and what was found, the most serious first. Prints well, also in a notebook."""

    model: str
    layer: str
    method: str
    images: int
    findings: tuple[Finding, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong; notes do not count."""
        return all(one.grade == "note" for one in self.findings)

    @property
    def headline(self) -> str:
        """One line."""
        wrong = sum(one.grade != "note" for one in self.findings)
        verdict = "healthy" if not wrong else f"{wrong} finding{'s' if wrong > 1 else ''}"
        of = f" at {self.layer}" if self.layer else ""
        return f"{self.model}, {self.method}{of}, {self.images} image{'s' if self.images != 1 else ''}: {verdict}"

    def __str__(self) -> str:
        lines = [self.headline]
        for number, one in enumerate(self.findings, 1):
            lines += ["", f"{number}. {one.grade}: {one.seen} [{one.name}]", f"   seen: {one.evidence}"]
            lines += [f"   try:  {one.command}"] if one.command else []
        return "\n".join([*lines, "", *(f"{key}: {value}" for key, value in self.facts.items())])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{one.grade}</td><td>{html.escape(one.seen)}</td><td>{html.escape(one.evidence)}</td>"
            f"<td><code>{html.escape(one.command)}</code></td></tr>"
            for one in self.findings
        )
        return f"<b>{html.escape(self.headline)}</b><table>{rows}</table>"

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "healthy": self.healthy}


def diagnose(
    model: Any,
    images: Any = None,
    *,
    method: str | Sequence[str] = (),
    target: str | int | Sequence[str | int] = (),
    layer: str | Sequence[str] = (),
    **job: Any,
) -> Diagnosis:
    """Examine a model by a forward and a backward over the images, or the bundled samples, all layers watched.

    `model` and `images` as for `explain`; other keywords are those of `Job`. The model is left as it was.
    """
    from camviz.demo import sample_folder
    from camviz.doctor.examination import Examination
    from camviz.engine.explain import job_of
    from camviz.io.images import as_images
    from camviz.models.load import load
    from camviz.types import Model

    loaded = model if isinstance(model, Model) else load(model)
    if images is None:
        images = sorted(sample_folder().glob("*.jpg"))
    return examined(Examination(loaded, job_of(method, target, layer, **job), as_images(images)))


def examined(examination: Examination) -> Diagnosis:
    """Every check, the findings in order of weight."""
    from camviz.errors import ModelError

    found: list[Finding] = []
    for entry in CHECKS:
        try:
            one = entry.call(examination)
        except ModelError as error:  # the model cannot be asked: that is itself a finding, made once
            one = Finding(error.message, type(error).__name__, error.hint)
            if any(other.seen == one.seen for other in found):
                continue
        if one:
            found.append(Finding(one.seen, one.evidence, one.command, one.grade, entry.name))
    found.sort(key=lambda one: GRADES.index(one.grade))
    return Diagnosis(
        examination.model.name,
        examination.layer_path,
        examination.method,
        len(examination.images),
        tuple(found),
        examination.facts(),
    )
