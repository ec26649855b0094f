"""What every command that computes does around its own work: check, load, list the inputs, tell, count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from camviz.cli.console import Bar, Console
from camviz.cli.options import OutputOptions
from camviz.errors import InputError
from camviz.run.report import Report
from camviz.types import Model, ModelRequest

if TYPE_CHECKING:
    from camviz.models.sources import Plan
    from camviz.run.inputs import Input
    from camviz.run.written import Written


class Work:
    """One command's run. Making it checks the request without importing torch; `load` builds the network.

    `writes`: whether it has an output folder at all.
    """

    def __init__(
        self,
        request: ModelRequest,
        device: str,
        images: list[str] | None,
        out: OutputOptions,
        console: Console,
        writes: bool = True,
    ) -> None:
        from camviz.engine.devices import check_device
        from camviz.models.load import plan
        from camviz.run.files import check_folder

        self.console, self.out, self.device, self.images = console, out, device, images
        self.writes = writes
        self.report = Report()
        check_device(device)
        self.plan: Plan = plan(request)
        if writes:
            check_folder(out.output, images or [])
        self.bar: Bar = console.bar()

    @property
    def folder(self) -> Path:
        """The output folder."""
        return self.out.output

    def load(self) -> Model:
        """The network on its device; tells what loading had to say."""
        from camviz.models.load import to_device

        model = to_device(self.plan.build(), self.device)
        for note in model.notes:
            self.console.say(f"note: {note}")
        return model

    def inputs(self) -> Iterator[Input]:
        """The pictures asked for, or the bundled samples. The output folder is made: the request is right."""
        from camviz.demo import sample_folder
        from camviz.run.files import prepare_folder
        from camviz.run.inputs import list_inputs

        if self.writes:
            prepare_folder(self.folder)
        if not self.images:
            self.console.say("no image given: the bundled samples")
        return list_inputs(self.images or [str(sample_folder())], skip=self.folder if self.writes else None)

    def failed(self, name: str, error: InputError) -> None:
        """One picture failed: count it and say so."""
        self.report.failures.append((name, error))
        self.console.error(error)

    def tell(self, written: Iterable[Written], notes: Callable[[Written], Iterable[str]] = lambda _: ()) -> int:
        """Say what is written as it comes; returns the exit status."""
        with self.bar:
            for one in written:
                self.report.written += 1
                self.bar.written(self.report.done)
                for note in notes(one):
                    self.console.say(f"note: {note}")
                self.console.result(one.to_json() if self.out.json else str(one.path))
        self.console.say(f"{self.report.summary()} in {self.folder}")
        return self.report.exit_status
