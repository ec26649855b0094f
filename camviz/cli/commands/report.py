"""`camviz report`: one HTML file to browse a run."""

from __future__ import annotations

from camviz.cli.console import Console
from camviz.cli.registry import command
from camviz.cli.runs import AllowUrls, JobKey, Run, RunOutput, opened


@command(
    section="Runs",
    order=3,
    examples=("camviz report camviz_out",),
)
def report(
    console: Console, run: Run = None, job: JobKey = None, output: RunOutput = None, allow_urls: AllowUrls = False
) -> None:
    """Write one HTML file to browse a run offline.

    With search, filters, originals and overlays, and the failed images.
    """
    from camviz import __version__
    from camviz.render.html import draw_page
    from camviz.run.outcome import Outcome
    from camviz.run.output.files import check_folder, prepare_folder, write_file
    from camviz.run.report import make_page

    with opened("report", run, job, console) as (database, row):
        folder = output or database.folder
        check_folder(folder)
        with console.bar() as bar:
            page = make_page(database, row, folder, lambda done: bar.update(Outcome(done=done)), allow_urls)
        prepare_folder(folder)
        path = folder / "report.html"
        write_file(path, draw_page(page, __version__).data or b"")
        console.say(f"{page.summary}; {path.stat().st_size / 1e6:.1f} MB")
    console.path(path)
