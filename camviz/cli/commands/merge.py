"""`camviz merge`: join the shards of a run."""

from __future__ import annotations

from camviz.cli.console import Console
from camviz.cli.registry import command
from camviz.cli.runs import Run
from camviz.errors import RequestError


@command(
    section="Runs",
    order=5,
    examples=(
        "camviz heatmap photos/ --shard 1/2 -o run",
        "camviz heatmap photos/ --shard 2/2 -o run",
        "camviz merge run",
    ),
)
def merge(console: Console, run: Run = None) -> None:
    """Join the shards of a run into one.

    Checks that all belong to one job, none is missing and no image is in two of them.
    """
    from camviz.run.distributed.merge import merge as join

    if run is None:
        raise RequestError("no RUN: merge needs the output folder of the shards", "camviz merge camviz_out")
    merged = join(run)
    for note in merged.notes:
        console.say(f"note: {note}")
    failed = f", {merged.failed} failed" if merged.failed else ""
    shards = f"{merged.shards} shards" if merged.shards else "no shards left to join"
    console.say(f"{shards}, {merged.done} images{failed} in {run}")
    console.path(merged.path)
