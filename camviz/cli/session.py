"""The session of a command over images: checks, models, listing, run, progress and summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from camviz.cli.console import Console, own_stdin, wants_traceback
from camviz.cli.explained import MOST, explained
from camviz.cli.options import (
    ClusterOptions,
    ComputeOptions,
    MethodOptions,
    ModelOptions,
    OutputOptions,
    ResumeOptions,
    several,
)
from camviz.cli.progress import Bar, shorter
from camviz.cli.single_file import SingleFile, names_file
from camviz.errors import CamvizError, InputError, ModelError, RequestError
from camviz.io.paths import is_remote, is_url, relative
from camviz.io.texts import json_text
from camviz.models.typed import typed_model
from camviz.run.distributed.shard import home
from camviz.run.outcome import Outcome
from camviz.run.threads import settle
from camviz.types import Fit, Model, ModelRequest, Request

if TYPE_CHECKING:
    from camviz.io.inputs import Failed, Input
    from camviz.models.sources import Plan
    from camviz.run.context import RunContext
    from camviz.run.database.records import Record
    from camviz.run.job import Settings, Task
    from camviz.run.listing import Listing
    from camviz.run.output.written import Written
    from camviz.run.resume import Run

    Finish = Callable[[Run, Failed], Iterable[Written]]


def request_of(
    model: ModelOptions,
    how: MethodOptions | None,
    compute: ComputeOptions,
    images: list[str] | None,
    layer: list[str] | None,
    target: list[str] | None,
    fit: Fit,
    **more: Any,
) -> Request:
    """Return the request of the options, `how` only of commands with methods; `more` are other fields of `Request`."""
    asked: dict[str, Any] = {
        "device": compute.device,
        "precision": compute.precision,
        "batch_size": compute.batch_size,
    }
    if how:
        asked |= {name: getattr(how, name) for name in ("score", "min_score", "smooth", "fuse", "seed")}
        asked |= {"methods": several(how.method), "settings": how.settings()}
    request = model.request(images=bool(images))
    return Request(request, several(layer), targets=tuple(target or ()), fit=fit, **(asked | more))


class Session:
    """One command over images. Making it checks the request without importing torch; `execute` runs a job.

    `requests`: the models, by the `names` that notes about them begin with. `writes`: whether there is an output
    folder.
    """

    def __init__(
        self,
        requests: Sequence[ModelRequest],
        device: str,
        images: list[str] | None,
        out: OutputOptions,
        console: Console,
        again: ResumeOptions | None = None,
        writes: bool = True,
        cluster: ClusterOptions | None = None,
        names: Sequence[str] = ("",),
    ) -> None:
        from camviz.hooks.devices import check_device
        from camviz.models.load import plan
        from camviz.run.output.files import check_folder

        self.console, self.out, self.device, self.images = console, out, device, images
        self.requests, self.names, self.again = requests, names, again or ResumeOptions()
        self.writes = writes
        self.cluster = cluster or ClusterOptions()
        self.cluster.check()
        self.shard, self._shard_from = self.cluster.part() if cluster else (None, "")
        self.outcome, self.kinds = Outcome(), Counter[str]()
        check_device(device)
        settle()
        self.plans: list[Plan] = [plan(request) for request in requests]
        self._single = SingleFile(out.output, images) if writes and names_file(out.output) else None
        if writes:
            check_folder(self.folder, images or [], writes=not self.again.dry_run)
        self.bar: Bar = console.bar()
        self._lines = 0  # images that still get a line

    @classmethod
    def of(
        cls,
        settings: Settings,
        images: list[str] | None,
        out: OutputOptions,
        console: Console,
        again: ResumeOptions,
        **more: Any,
    ) -> Session:
        """Return the session of a job with these settings."""
        names, device = settings.model_names, settings.request.device
        return cls(settings.models, device, images, out, console, again, names=names, **more)

    @property
    def folder(self) -> Path:
        """The output folder, temporary for a single file."""
        return self._single.folder if self._single else self.out.output

    def check(self, job: Request) -> None:
        """Refuse a wrong request before torch is imported, as far as the task of each model is known."""
        from camviz.methods import choose
        from camviz.tasks import TASKS

        for plan in self.plans:
            task = self.check_targets(job.targets, plan)
            usual = [TASKS.find(task).call.method] if task else []
            if job.methods or usual:
                choose(job.methods or usual, job.settings, job.smooth)
        if job.fuse != "none" and len(job.layers) < 2 and not any(set("*?[") & set(layer) for layer in job.layers):
            layers = ",".join(job.layers) or "the default one"
            hint = f"--layer A,B --fuse {job.fuse}; 'camviz layers {typed_model(job.model)}' lists them"
            raise RequestError(f"--fuse {job.fuse} makes one map of several layers, but the layer is {layers}", hint)

    def check_targets(self, texts: Sequence[str], plan: Plan | None = None) -> str:
        """Return the task that targets are for, "" where it is not known yet; raise for an unknown class."""
        from camviz.tasks import TASKS, task_named

        plan = plan or self.plans[0]
        task = task_named(plan.task, texts)
        if plan.labels and task:
            TASKS.find(task).call(plan.name, plan.labels).parse(texts)
        return task

    def load(self, number: int = 0, clips: bool = False) -> Model:
        """Load a model onto its device and print its notes. `clips`: it may be a model of video clips."""
        from camviz.models.load import to_device

        if self.images and not any(path == "-" or is_url(path) for path in self.images):
            for error in (missing := self.listing.missing())[1:]:
                self.console.error(error)
            if missing:
                raise missing[0]
        spread = self.cluster.engine == "ray"  # then it is only checked here, and computes elsewhere
        model = to_device(self.plans[number].build(), "cpu" if spread else self.device)
        if model.preprocessing.frames > 1 and not clips:
            raise ModelError(
                f"{model.name} takes clips of video, and this command takes images",
                f"camviz heatmap clip.mp4 --model {model.name} explains a video",
            )
        name = self.names[number]
        for note in model.notes:
            self.console.say(f"note: {name}: {note}" if name else f"note: {note}")
        return model

    # inputs

    @cached_property
    def listing(self) -> Listing:
        """The images of the command, or the bundled samples; listed once."""
        from camviz.demo import sample_folder
        from camviz.io.inputs import list_inputs
        from camviz.run.listing import Listing

        images, skip = self.images or [str(sample_folder())], self.folder if self.writes else None
        shard = self.shard
        return Listing(
            list_inputs(images, skip=skip, stdin=own_stdin()),
            lambda name: shard is None or home(name, shard.count) == shard.number,
        )

    def inputs(self) -> Iterator[Input]:
        """Return the images for a command without a run."""
        self._say_samples()
        return self.listing

    def _say_samples(self) -> None:
        if not self.images:
            self.console.say("no images given: using the bundled samples")
        if self.shard:
            self.console.say(f"{self.shard}{f': {self._shard_from}' if self._shard_from else ''}")

    # a run with a database

    @property
    def contents(self) -> dict[str, str]:
        """Digests of the files that the models are made of."""
        from camviz.run.resume import contents

        return {path: digest for request in self.requests for path, digest in contents(request).items()}

    def execute(self, settings: Settings, finish: Finish | None = None) -> int:
        """Run a job: missing images through the models into the run database, then what needs all images.

        `finish` writes the files that need all images, in place of those of the settings. Without an output folder
        the run database is temporary. Returns the exit status.
        """
        from camviz.run import runners
        from camviz.run.job import Job
        from camviz.run.resume import Again, Run

        with ExitStack() as stack:
            folder = self.folder if self.writes else Path(stack.enter_context(TemporaryDirectory(prefix="camviz-")))
            again = Again(self.again.overwrite, self.again.retry)
            job = Job(settings, self.contents)
            run = stack.enter_context(Run(folder, job, self.listing, self.outcome, again, self.shard))
            if self.again.dry_run:
                return self._list_missing(run)
            task = None
            if not run.complete():
                task = runners.begin(settings, partial(self.load, clips=settings.clips), self.bar.scored)
                self._announce(task)
                if task.layers:
                    self.console.layers(task.layers, task.model)
            self._process(run, task, finish or partial(runners.finish, settings))
        return self._summary()

    def _process(self, run: Run, task: Task | None, finish: Finish) -> None:
        """Keep and report the records of a task, then the files of `finish`."""
        from camviz.run.runners import remarks

        self.bar.count(self._count)
        self.bar.shorter = shorter(run.job.settings)
        streamed = "-" in (self.images or ())
        self._lines = MOST if not self.out.json and (streamed or self.listing.at_most(MOST)) else 0
        with self.bar:
            if task:
                records = self._spread(run, task) if self.cluster.engine == "ray" else self._compute(run, task)
                with closing(run.keep(records)) as kept:
                    for record in kept:
                        self._report(record)
                self._announce(task)
            for file in finish(run, self.failed):
                self._report_file(file)
            for line in remarks(run.job.settings, run, self.kinds):
                self.console.say(line)
            for name, why in (task.skipped if task else {}).items():
                self.console.say(f"skipped: {name}: {why}")
            run.close()

    def _compute(self, run: Run, task: Task) -> Generator[Record]:
        yield from task.records(self._missing(run), self._context(run))

    def _announce(self, task: Task) -> None:
        while task.notes:
            self.console.say(f"note: {task.notes.pop(0)}")

    def _missing(self, run: Run) -> Iterator[Input]:
        inputs = run.inputs()
        self._say_samples()
        return inputs

    def _context(self, run: Run) -> RunContext:
        from camviz.run.context import RunContext

        def smaller(size: int) -> None:
            self.console.say(f"note: not enough memory: the batch size is now {size}")
            run.smaller(size)

        write = run.open().write
        return RunContext(
            run.folder,
            write,
            run.row.batch_size,
            smaller,
            wants_traceback(),
            frames=self.bar.frame,
            passed=lambda done: self.bar.update(replace(self.outcome, done=done)),
        )

    def _spread(self, run: Run, task: Task) -> Generator[Record]:
        """The records that the processes of a cluster make. Files whose bytes travel are written here."""
        from camviz.run.distributed.ray_pool import Cluster
        from camviz.run.distributed.ray_tasks import Place, Share

        inputs, context = self._missing(run), self._context(run)
        place = Place(strict=context.strict, fits=context.fits)
        if self.cluster.address is None or is_remote(run.folder):  # else its machines may have other disks
            place = replace(place, folder=run.folder, parts=run.open().parts)
        with Cluster(self.cluster.address, self.cluster.workers, self.device != "cpu") as cluster:
            self.console.say(f"ray: {cluster.pool}")
            answers = cluster.answers(Share(run.job.settings, place), inputs)
            for number, (_, answer) in enumerate(answers):
                if not number:
                    self.bar.began(sum(record.seconds for record in answer.records))
                if answer.fits:
                    context.smaller(answer.fits)
                task.skipped.update(answer.skipped)
                for record in answer.records:
                    yield self._home(record, context)
                run.database.commit()  # answers come seconds apart

    def _home(self, record: Record, context: RunContext) -> Record:
        """A record whose files are in the output folder."""
        if all(file.data is None for file in record.written):
            return record
        files = [replace(file, path=context.folder / file.path, data=None) for file in record.written]
        for file, sent in zip(files, record.written, strict=True):
            context.write(file.path, sent.data or b"")
        return replace(record, written=tuple(files))

    def _list_missing(self, run: Run) -> int:
        """Print the images that a run would compute."""
        count = 0
        for source in run.look():
            count += 1
            facts = {"input": str(source.path), "name": source.name}
            self._print(json_text(facts), source.path)
        self.console.say(f"{count} to do, {self.outcome.before} done before; nothing was written")
        return 0

    # reporting

    def failed(self, name: str, error: CamvizError) -> None:
        """Count and print the failure of one image."""
        self.outcome.failed += 1
        self.console.error(error)

    def report(self, files: Iterable[Written]) -> int:
        """Print files as they are written, by a command without a run; return the exit status."""
        with self.bar:
            for file in files:
                self._report_file(file)
        return self._summary()

    def _report(self, record: Record) -> None:
        if self._lines and record.done:
            self._lines -= 1
            files = [relative(file.path, self.folder) for file in record.written]
            line = explained(record, [self._single.path.name] if self._single and files else files)
            self.console.say(line) if line else None
        for file in record.written:
            self._report_file(file)
        if record.error:
            self.console.error(record.error)
        if record.note:
            self.console.say(f"note: {record.note}")
        self.bar.update(self.outcome)

    def _report_file(self, file: Written) -> None:
        if self._single:
            if file.facts["kind"] == "summary" or file.path.suffix in (".csv", ".json"):
                return
            file = self._single.add(file)
        self.outcome.written += 1
        self.kinds.update(file.traits())
        self.bar.update(self.outcome)
        for note in file.notes():
            self.console.say(f"note: {note}")
        if not self._single:
            self._print(file.to_json(), file.path)

    def _print(self, facts: str, path: Path) -> None:
        if self.out.json:
            self.console.result(facts)
        else:
            self.console.path(path)

    def _summary(self) -> int:
        for file in self._single.deliver() if self._single else ():
            self._print(file.to_json(), file.path)
        if self.outcome.failed_before:
            images = f"{self.outcome.failed_before} image{'s' * (self.outcome.failed_before != 1)}"
            self.console.error(InputError(f"{images} failed in an earlier run", "--retry computes them again"))
        if self.outcome.replaced:
            files = f"{self.outcome.replaced} file{'s' * (self.outcome.replaced != 1)}"
            self.console.say(f"note: {files} of another job there are written over; -o OTHER_FOLDER keeps both")
        joined = f"; 'camviz merge {self.folder}' joins the shards" if self.shard else ""
        idle = self.outcome.before and not (self.outcome.done or self.outcome.failed or self.outcome.failed_before)
        again = "; --overwrite does it again" if idle and not self.outcome.written else ""
        if self.writes:
            self.console.say(f"{self.outcome.summary()} in {self.out.output}{again}{joined}")
        elif self.outcome.failed:
            self.console.say(self.outcome.summary())
        return self.outcome.exit_status

    def _count(self) -> int | None:
        """Return the number of images, None for a stream of paths."""
        return None if "-" in (self.images or []) else self.listing.list_all()
