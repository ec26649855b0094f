"""`camviz replay`: check that a run can be reproduced."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from camviz.cli.console import Console
from camviz.cli.option_groups import unset
from camviz.cli.options import AllowPickle, ComputeOptions, Json, OutputOptions
from camviz.cli.registry import command
from camviz.cli.runs import AllowUrls, JobKey, Run, opened
from camviz.cli.session import Session
from camviz.errors import RequestError
from camviz.models.load import runs_code
from camviz.types import ModelRequest

if TYPE_CHECKING:
    from camviz.run.replay import Compared

    NewComputeOptions = ComputeOptions
else:
    NewComputeOptions = unset(ComputeOptions)

_LINES = 20  # of maps that differ; the rest is counted
Tolerance = Annotated[
    float,
    typer.Option(
        "--tolerance", min=0, help="Largest difference that counts as equal, as a share of the map's maximum."
    ),
]
SameModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="The model of the run. Needed again where it is Python code, which runs only if you name it.",
        show_default=False,
        rich_help_panel="Model",
    ),
]


@command(
    section="Runs",
    order=2,
    examples=(
        "camviz replay camviz_out",
        "camviz replay camviz_out --device cuda --tolerance 1e-4",
    ),
)
def replay(
    console: Console,
    compute: NewComputeOptions,
    run: Run = None,
    job: JobKey = None,
    tolerance: Tolerance = 0.0,
    model: SameModel = None,
    allow_pickle: AllowPickle = False,
    allow_urls: AllowUrls = False,
    as_json: Json = False,
) -> int:
    """Recompute the maps of a run and compare them bit for bit.

    The exit status is 1 if they differ.
    """
    from camviz.run.database.jobs import heatmap_job

    with opened("replay", run, job, console) as (database, row):
        changes = {name: value for name, value in vars(compute).items() if value is not None}
        again = replace(heatmap_job(row, "replay"), **changes)
        again = replace(again, model=_trusted(again.model, model, allow_pickle, database.folder))
        session = Session([again.model], again.device, None, OutputOptions(database.folder), console, writes=False)

        from camviz.engine.explain import Explainer  # from here on torch is imported
        from camviz.run import replay as runs

        _tell_versions(row.versions, console)
        digests = session.contents.values()
        for path, digest in row.settings.get("contents", {}).items():
            if digest not in digests:
                console.say(f"note: '{path}' has changed since the run")
        explainer = Explainer(session.load(), again, session.bar.scored)
        found = runs.replay(database, row, again, explainer, session.failed, allow_urls)
        return _tell(found, session, tolerance, as_json)


def _trusted(request: ModelRequest, model: str | None, allow_pickle: bool, run: Path) -> ModelRequest:
    """Return the model of a run with the trust that was typed: a run database may come from anybody.

    Raises `RequestError` where code would run that nobody has named on the command line.
    """
    if model is None and runs_code(request.spec):
        typed = f"camviz replay {shlex.quote(str(run))} --model {shlex.quote(request.spec)}"
        flag = " --allow-pickle" if request.allow_pickle else ""
        raise RequestError(
            f"the run names the model '{request.spec}', and its Python code runs only if you name it", typed + flag
        )
    return replace(request, spec=model or request.spec, allow_pickle=allow_pickle)


def _tell_versions(then: dict[str, str], console: Console) -> None:
    """Say which versions are other ones than they were."""
    from camviz.run.resume import versions

    for name, now in versions().items():
        if then.get(name, now) != now:
            shown = "the number of threads" if name == "threads" else name
            console.say(f"note: {shown} was {then[name]}, now {now}")


def _tell(found: Iterable[Compared], session: Session, tolerance: float, as_json: bool) -> int:
    """Say which maps differ, and the verdict; returns the exit status."""
    total = exact = differing = 0
    largest = 0.0
    with session.bar:
        for compared in found:
            total += 1
            exact += compared.equal
            largest = max(largest, compared.difference or 0.0)
            if as_json:
                session.console.result(json.dumps(asdict(compared)))
            if not compared.within(tolerance):
                differing += 1
                if differing <= _LINES:
                    session.console.say(f"differs: {compared.describe()}")
    if differing > _LINES:
        session.console.say(f"differs: {differing - _LINES} more")
    session.console.say(_verdict(total, exact, differing, largest, session.outcome.failed))
    return 1 if differing or session.outcome.failed else 0


def _verdict(total: int, exact: int, differing: int, largest: float, failed: int) -> str:
    if not total:
        parts = ["no map to compare"]
    elif exact == total:
        parts = [f"equal: {total} map(s), bit for bit"]
    else:
        word = "not equal" if differing else "equal within the tolerance"
        parts = [f"{word}: {exact} of {total} map(s) bit for bit, {differing} differ, by {largest:.3g} at most"]
    return ", ".join([*parts, f"{failed} image(s) failed"] if failed else parts)
