"""Find out why a map is blank or wrong: checks of a model on images, each with evidence and a fix.

To add a check, write a decorated function (examination) -> `Finding` or None in a file here.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Unpack

from camviz.registry import Registry

if TYPE_CHECKING:
    from camviz.doctor.examination import Examination
    from camviz.engine.arguments import Options

GRADES = ("serious", "warning", "note")
_OUTPUTS = {"normalization", "labels", "statistics", "one-class"}
# by cause: findings that follow from it and are not reported beside it
CONSEQUENCES: dict[str, set[str]] = {
    "nan": {*_OUTPUTS, "random", "constant", "weak"},
    "images": _OUTPUTS,
    "random": _OUTPUTS,
    "constant": {"labels", "statistics", "one-class"},
    "untrained": _OUTPUTS,
    "quantized": _OUTPUTS,
    "one-class": {"labels"},
    "normalization": {"labels", "statistics", "one-class"},
    "statistics": {"labels", "one-class"},
}


@dataclass(frozen=True)
class Finding:
    """The result of a check: `seen` in one sentence, its `evidence`, and the `command` that fixes it.

    serious: the maps are meaningless. warning: they may mislead. note: for information, nothing is wrong.
    """

    seen: str
    evidence: str
    command: str
    grade: Literal["serious", "warning", "note"] = "serious"
    name: str = ""


CHECKS: Registry[Callable[[Examination], Finding | None]] = Registry("check", __name__)


@dataclass(frozen=True)
class Diagnosis:
    """All findings for a model, the most serious first. Prints as text, in notebooks as a table."""

    model: str
    layer: str
    method: str
    images: int
    findings: tuple[Finding, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """Whether there are no findings but notes."""
        return all(finding.grade == "note" for finding in self.findings)

    @property
    def headline(self) -> str:
        """A summary in one line."""
        wrong = sum(finding.grade != "note" for finding in self.findings)
        verdict = "healthy" if not wrong else f"{wrong} finding{'s' if wrong > 1 else ''}"
        of = f" at {self.layer}" if self.layer else ""
        return f"{self.model}, {self.method}{of}, {self.images} image{'s' if self.images != 1 else ''}: {verdict}"

    def __str__(self) -> str:
        lines = [self.headline]
        for number, finding in enumerate(self.findings, 1):
            lines += ["", f"{number}. {finding.grade}: {finding.seen} [{finding.name}]", f"   seen: {finding.evidence}"]
            lines += [f"   try:  {finding.command}"] if finding.command else []
        return "\n".join([*lines, "", *(f"{key}: {value}" for key, value in self.facts.items())])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{finding.grade}</td><td>{html.escape(finding.seen)}</td><td>{html.escape(finding.evidence)}</td>"
            f"<td><code>{html.escape(finding.command)}</code></td></tr>"
            for finding in self.findings
        )
        return f"<b>{html.escape(self.headline)}</b><table>{rows}</table>"

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as a dict for JSON."""
        return {**asdict(self), "healthy": self.healthy}


def diagnose(
    model: Any,
    images: Any = None,
    *,
    method: str | Sequence[str] = (),
    target: str | int | Sequence[str | int] = (),
    layer: Any = (),
    fit: str = "model",
    **options: Unpack[Options],
) -> Diagnosis:
    """Check a model on images (default: the bundled samples) and return the findings.

    `model` and `images` as for `explain`; other keywords are those of `Options`. The model is left unchanged.
    """
    from camviz.demo import sample_folder
    from camviz.doctor.examination import Examination
    from camviz.engine.arguments import layer_names, request_of
    from camviz.io.notebook import as_images
    from camviz.models.load import load
    from camviz.types import Model

    loaded = model if isinstance(model, Model) else load(model)
    if images is None:
        images = sorted(sample_folder().glob("*.jpg"))
    return examined(
        Examination(
            loaded, request_of(method, target, layer_names(layer, loaded), fit=fit, **options), as_images(images)
        )
    )


def examined(examination: Examination) -> Diagnosis:
    """Run every check and return the findings by severity."""
    from camviz.models.extra_inputs import inputs_of

    with inputs_of(examination.model, examination.images, examination.request.fit):
        return _examined(examination)


def _examined(examination: Examination) -> Diagnosis:
    from camviz.errors import ModelError

    findings: list[Finding] = []
    for entry in CHECKS:
        try:
            finding = entry.call(examination)
        except ModelError as error:  # a model that cannot run is itself a finding, reported once
            finding = Finding(error.message, type(error).__name__, error.hint)
            if any(other.seen == finding.seen for other in findings):
                continue
        if finding:
            findings.append(replace(finding, name=entry.name))
    causes = {finding.name for finding in findings if finding.grade != "note"}
    hidden = set().union(*(CONSEQUENCES.get(name, set()) for name in causes))
    findings = [finding for finding in findings if finding.name not in hidden]
    findings.sort(key=lambda finding: GRADES.index(finding.grade))
    return Diagnosis(
        examination.model.name,
        examination.layer_path,
        examination.method,
        len(examination.images),
        tuple(findings),
        examination.facts(),
    )
