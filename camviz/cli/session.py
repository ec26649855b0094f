"""What every command that computes does around its own work: check, load, list the inputs, tell, count."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from camviz.cli.console import Bar, Console, wants_traceback
from camviz.cli.options import (
    ClusterOptions,
    ComputeOptions,
    MethodOptions,
    ModelOptions,
    OutputOptions,
    ResumeOptions,
    several,
)
from camviz.errors import CamvizError, InputError, ModelError, RequestError
from camviz.io.paths import is_remote, is_url
from camviz.run.distributed.shard import home
from camviz.run.outcome import Outcome
from camviz.run.threads import settle
from camviz.types import Fit, Job, Model, ModelRequest

if TYPE_CHECKING:
    from camviz.engine.explain import Explainer
    from camviz.io.inputs import Input
    from camviz.models.sources import Plan
    from camviz.run.database.records import Record
    from camviz.run.distributed.ray_tasks import Answer, Assignment, Place
    from camviz.run.listing import Listing
    from camviz.run.output.written import Written
    from camviz.run.resume import Run
    from camviz.run.run_context import Workplace

Notes = Callable[["Written"], Iterable[str]]


def job_of(
    model: ModelOptions,
    how: MethodOptions,
    compute: ComputeOptions,
    images: list[str] | None,
    layer: list[str] | None,
    target: list[str] | None,
    fit: Fit,
    **more: Any,
) -> Job:
    """The job that the options of a command ask for; `more` are fields of `Job` that it sets otherwise."""
    asked: dict[str, Any] = {
        "methods": several(how.method),
        "score": how.score,
        "min_score": how.min_score,
        "settings": how.settings(),
        "smooth": how.smooth,
        "fuse": how.fuse,
        "seed": how.seed,
        "device": compute.device,
        "precision": compute.precision,
        "batch_size": compute.batch_size,
    }
    request = model.request(images=bool(images))
    return Job(request, several(layer), targets=tuple(target or ()), fit=fit, **(asked | more))


class Work:
    """One command's run. Making it checks the request without importing torch; `load` builds the model.

    `writes`: whether it has an output folder at all.
    """

    def __init__(
        self,
        request: ModelRequest,
        device: str,
        images: list[str] | None,
        out: OutputOptions,
        console: Console,
        again: ResumeOptions | None = None,
        writes: bool = True,
        cluster: ClusterOptions | None = None,
    ) -> None:
        from camviz.hooks.devices import check_device
        from camviz.models.load import plan
        from camviz.run.output.files import check_folder

        self.console, self.out, self.device, self.images = console, out, device, images
        self.request, self.again = request, again or ResumeOptions()
        self.writes = writes
        self.cluster = cluster or ClusterOptions()
        self.cluster.check()
        self.shard, self._said = self.cluster.part() if cluster else (None, "")
        self.outcome = Outcome()
        check_device(device)
        settle()
        self.plan: Plan = plan(request)
        if writes:
            check_folder(out.output, images or [])
        self.bar: Bar = console.bar()

    @property
    def folder(self) -> Path:
        """The output folder."""
        return self.out.output

    def check(self, job: Job) -> None:
        """Refuse a wrong request before torch is imported, as far as the model's task is known."""
        from camviz.methods import choose
        from camviz.tasks import TASKS

        task = self.check_targets(job.targets)
        usual = [TASKS.find(task).call.method] if task else []
        if job.methods or usual:
            choose(job.methods or usual, job.settings, job.smooth)
        if job.fuse != "none" and len(job.layers) < 2 and not any(set("*?[") & set(one) for one in job.layers):
            there = ",".join(job.layers) or "the default one"
            hint = f"--layer A,B --fuse {job.fuse}; 'camviz layers {self.plan.name}' lists them"
            raise RequestError(f"--fuse {job.fuse} makes one map of several layers, and there is only {there}", hint)

    def check_targets(self, texts: Sequence[str]) -> str:
        """The task that targets are for, "" when that is not known yet; raises for a class that is not there."""
        from camviz.tasks import TASKS, task_named

        task = task_named(self.plan.task, texts)
        if self.plan.labels and task:
            TASKS.find(task).call(self.plan.name, self.plan.labels).parse(texts)
        return task

    def load(self, clips: bool = False, name: str = "") -> Model:
        """The model on its device; tells what loading had to say, of the one called `name` where there are several.

        `clips`: it may be one for video.
        """
        from camviz.models.load import to_device

        if self.images and not any(path == "-" or is_url(path) for path in self.images):
            for error in (missing := self.listing.missing())[1:]:
                self.console.error(error)
            if missing:
                raise missing[0]
        spread = self.cluster.engine == "ray"  # then it is only looked at here, and computes elsewhere
        model = to_device(self.plan.build(), "cpu" if spread else self.device)
        if model.preprocessing.frames > 1 and not clips:
            raise ModelError(
                f"{model.name} takes clips of video, and this command looks at images",
                f"camviz heatmap clip.mp4 --model {model.name} explains a video",
            )
        for note in model.notes:
            self.console.say(f"note: {name}: {note}" if name else f"note: {note}")
        return model

    def explainer(self, model: Model, job: Job) -> Explainer:
        """The job's question to the model; tells what it chose where nobody asked."""
        from camviz.engine.explain import Explainer

        explainer = Explainer(model, job, self.bar.scored)
        for note in explainer.notes:
            self.console.say(f"note: {note}")
        if not job.layers:
            self.console.layers([layer.path for layer in explainer.layers[:1]], model.name)
        return explainer

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
            list_inputs(images, skip=skip, stdin=_own_stdin()),
            lambda name: shard is None or home(name, shard.count) == shard.number,
        )

    def inputs(self) -> Iterator[Input]:
        """All images asked for. The output folder is made: the request is right."""
        from camviz.run.output.files import prepare_folder

        if self.writes:
            prepare_folder(self.folder)
        self._say_samples()
        return self.listing

    def _say_samples(self) -> None:
        if not self.images:
            self.console.say("no image given: the bundled samples")
        if self.shard:
            self.console.say(f"{self.shard}{f': {self._said}' if self._said else ''}")

    # a run with a database

    @property
    def contents(self) -> dict[str, str]:
        """Digests of the files that the model is made of."""
        from camviz.run.resume import contents

        return contents(self.request)

    def run(self, command: str, settings: dict[str, Any], together: bool = False, drawn_later: bool = False) -> Run:
        """The run of this job in the output folder; `together`: one new image means that all are done again;
        `drawn_later`: files follow when all maps are there."""
        from camviz.run.resume import Again, Run

        again = Again(self.again.overwrite, self.again.retry, together, drawn_later)
        return Run(self.folder, command, settings, self.listing, self.outcome, again, self.shard)

    def missing(self, run: Run) -> Iterator[Input]:
        """What is left to do. The output folder is made: the request is right."""
        inputs = run.inputs()
        self._say_samples()
        return inputs

    def workplace(self, run: Run) -> Workplace:
        """Where a run's files go, and whom it tells what it learns."""
        from camviz.run.run_context import Workplace

        def smaller(size: int) -> None:
            self.console.say(f"note: not enough memory: from now on {size} image(s) at once")
            run.smaller(size)

        fits = run.job.batch_size if run.job else None
        return Workplace(self.folder, run.open().write, fits, smaller, wants_traceback(), frames=self.bar.frame)

    def spread(self, run: Run, assign: Callable[[Place], Assignment]) -> Iterator[Answer]:
        """What the processes of a cluster answer, unit by unit. Files whose bytes travel are written here."""
        from camviz.run.distributed.ray_tasks import Place

        joined = self.cluster.address is not None  # its machines may have other disks
        shared = not joined or is_remote(self.folder)
        workplace = self.workplace(run)
        output = run.open()
        place = Place(strict=workplace.strict, fits=workplace.fits)
        if shared:
            place = replace(place, folder=self.folder, parts=output.parts)
        for _, answer in self.answers(assign(place), self.missing(run)):
            if answer.fits:
                workplace.smaller(answer.fits)
            yield replace(answer, records=tuple(self._home(one, workplace) for one in answer.records))
            run.database.commit()  # units come seconds apart: what one brought is kept while the next is waited for

    def answers(self, assignment: Assignment, inputs: Iterable[Input]) -> Iterator[tuple[int, Answer]]:
        """What the processes of a cluster answer, with the number of the unit: units are numbered as inputs come."""
        from camviz.run.distributed.ray_pool import Cluster

        with Cluster(self.cluster.address, self.cluster.workers, self.device != "cpu") as cluster:
            self.console.say(f"ray: {cluster.pool}")
            for number, (unit, answer) in enumerate(cluster.answers(assignment, inputs)):
                if not number:
                    self.bar.began(sum(record.seconds for record in answer.records))
                yield unit, answer

    def _home(self, record: Record, workplace: Workplace) -> Record:
        """A record whose files are in the output folder."""
        if all(file.data is None for file in record.written):
            return record
        files = [replace(file, path=workplace.folder / file.path, data=None) for file in record.written]
        for file, sent in zip(files, record.written, strict=True):
            workplace.write(file.path, sent.data or b"")
        return replace(record, written=tuple(files))

    def nothing_to_compute(self, run: Run) -> int:
        """For --dry-run the images that are to be done; else that all is done."""
        if self.again.dry_run:
            count = 0
            for source in run.look():
                count += 1
                told = {"input": str(source.path), "name": source.name}
                self.console.result(json.dumps(told, ensure_ascii=False) if self.out.json else str(source.path))
            self.console.say(f"{count} to do, {self.outcome.before} done before; nothing was written")
            return 0
        return self._summary()

    # telling

    def failed(self, name: str, error: CamvizError) -> None:
        """One image failed: count it and say so."""
        self.outcome.failed += 1
        self.console.error(error)

    def tell(self, written: Iterable[Written], notes: Notes = lambda _: ()) -> int:
        """Say what is written as it comes; returns the exit status."""
        with self.bar:
            for one in written:
                self._tell(one, notes)
        return self._summary()

    def tell_records(
        self,
        run: Run,
        records: Iterable[Record],
        notes: Notes,
        then: Callable[[], Iterable[Written]] = tuple,
    ) -> int:
        """Remember each image and say what was written of it, and `then`; returns the exit status."""
        self.bar.count(self._count)
        with self.bar:
            with closing(run.keep(one for one in records)) as kept:
                for record in kept:
                    for one in record.written:
                        self._tell(one, notes)
                    if record.error:
                        self.console.error(record.error)
                    if record.note:
                        self.console.say(f"note: {record.note}")
                    self.bar.update(self.outcome)
            for one in then():
                self._tell(one, notes)
            run.close()
        return self._summary()

    def _tell(self, one: Written, notes: Notes) -> None:
        self.outcome.written += 1
        self.bar.update(self.outcome)
        for note in notes(one):
            self.console.say(f"note: {note}")
        self.console.result(one.to_json() if self.out.json else str(one.path))

    def _summary(self) -> int:
        if self.outcome.failed_before:
            images = f"{self.outcome.failed_before} image{'s' * (self.outcome.failed_before != 1)}"
            self.console.error(InputError(f"{images} failed before and will again", "--retry tries all the same"))
        if self.outcome.replaced:
            files = f"{self.outcome.replaced} file{'s' * (self.outcome.replaced != 1)}"
            self.console.say(f"note: {files} of another job there are written over; -o OTHER_FOLDER keeps both")
        joined = f"; 'camviz merge {self.folder}' joins the shards" if self.shard else ""
        idle = self.outcome.before and not (self.outcome.done or self.outcome.failed or self.outcome.failed_before)
        again = "; --overwrite does it again" if idle and not self.outcome.written else ""
        self.console.say(f"{self.outcome.summary()} in {self.folder}{again}{joined}")
        return self.outcome.exit_status

    def _count(self) -> int | None:
        """How many images there are, where that can be known beforehand."""
        return None if "-" in (self.images or []) else self.listing.list_all()


def _own_stdin() -> TextIO | None:
    """Standard input for a thread that may still wait for it when the process ends; else Python could not close it."""
    try:
        handle = os.dup(sys.stdin.fileno())
    except (OSError, io.UnsupportedOperation, AttributeError):
        return None
    return open(handle, encoding=sys.stdin.encoding, errors=sys.stdin.errors)
