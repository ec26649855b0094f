"""`Explainer`: images in, saliency maps out; one forward serves all targets, layers and methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from camviz.engine.batches import by_shape
from camviz.engine.forward import MASKS_AT_ONCE, Ask, Pass, run_forward
from camviz.engine.map_checks import Found, Kind, variations, why_blank, why_weak
from camviz.engine.probe import Probe, Reading
from camviz.engine.randomize import shuffled
from camviz.engine.smoothing import fuse, run_method
from camviz.engine.tail_replay import finished_before
from camviz.errors import InputError, ModelError, RequestError, UnknownName
from camviz.hooks.capture import part_of
from camviz.hooks.chunks import Chunks
from camviz.io.images import as_images, read_image
from camviz.methods import WITHOUT_LAYERS, Chosen, choose
from camviz.models.layers import find_layers, stages_before
from camviz.models.preprocess import prepare
from camviz.models.survey import Survey, differentiable, input_channels, survey
from camviz.tasks import References, TargetSpec, Task, task_of
from camviz.types import Fuse, Image, Job, Layer, Model, SaliencyMap, Score, Smooth, Target, View


def _check_words(job: Job) -> None:
    """From Python any text can come; one that means nothing must not be taken for something."""
    known = {"score": get_args(Score), "smooth": get_args(Smooth), "fuse": get_args(Fuse)}
    for noun, words in known.items():
        typed = getattr(job, noun)
        if typed not in words and (noun, typed) != ("score", None):
            raise RequestError(f"no {noun} '{typed}'", f"one of: {', '.join(words)}")


class Explainer:
    """A job's question to a model, checked once and asked of many batches. `tick(done, total)` hears of re-scoring.

    `skipped` says why methods of a group were passed over, `notes` what was chosen where nobody asked.
    """

    def __init__(self, model: Model, job: Job, tick: Callable[[int, int], None] | None = None) -> None:
        self.model, self.job = model, job
        _check_words(job)
        if job.methods:  # a wrong one is told before the model is looked at
            choose(job.methods, job.settings, job.smooth)
        seen = survey(model.module, model.preprocessing.crop, model.name)
        output = part_of(seen.output, model.output_key, model.name)
        self.task = task_of(model, output, job.targets, score=job.score, min_score=job.min_score)
        self.methods = choose(job.methods or [self.task.method], job.settings, job.smooth)
        self.wanted = self.task.parse(job.targets or [self.task.default])
        self.task.check(self.wanted, output)
        if job.smooth == "aug" and self.task.placed:
            raise RequestError(
                f"--smooth aug mirrors the image, and in {type(self.task).__name__.lower()} a target has its place",
                "--smooth noise leaves everything where it is",
            )
        self.skipped: dict[str, str] = {}
        self._instead = ""
        self.notes: list[str] = []
        if model.preprocessing.frames > 1:
            self._check_clip()
        if not job.methods and self.task.method != Task.method:
            self.notes.append(f"method: {self.task.method} (--method chooses another)")
        self.layers = self._reachable(seen)
        chunks = Chunks(job.batch_size or MASKS_AT_ONCE)
        if tick:
            chunks.tick = tick
        replayed = any(chosen.needs("many forwards") and chosen.layered for chosen in self.methods)
        staged = any(chosen.entry.facts.get("layer") == "stages" for chosen in self.methods)
        self.ask = Ask(
            model,
            tuple(self.layers),
            any(chosen.needs("gradients") for chosen in self.methods),
            self.task,
            job.precision,
            chunks,
            job.seed,
            {layer.path: finished_before(seen, layer.path) for layer in self.layers} if replayed else {},
            {layer.path: stages_before(model, seen, layer) for layer in self.layers} if staged else {},
            any(chosen.needs("GAP head") for chosen in self.methods),
        )
        self.wanted = self.task.complete(self.wanted, References(self._row_of, model.embed_text))

    def _check_clip(self) -> None:
        """Refuse what would take the frames of a clip, which lie below each other, for one image."""
        if self.job.smooth == "aug" or self.job.fuse != "none":
            option = "--smooth aug" if self.job.smooth == "aug" else f"--fuse {self.job.fuse}"
            raise RequestError(f"{option} is for images, and {self.model.name} takes clips", "leave it out")
        for chosen in self.methods:
            if chosen.entry.facts["family"] == "cam" and chosen.entry.facts.get("layer") != "stages":
                continue
            reason = f"method '{chosen.name}' is for images, and {self.model.name} takes clips"
            if not chosen.optional:
                raise ModelError(reason, "--method gradcam, layercam, eigencam or another of the CAM family")
            self.skipped[chosen.name] = reason

    def _row_of(self, path: str) -> Any:
        """The model's row for another image, seen as the job's images are."""
        values, _ = prepare(read_image(Path(path)), self.model.preprocessing, self.job.fit)
        inputs = torch.from_numpy(values[None]).to(self.model.device)
        return run_forward(Ask(self.model, (), False, self.task, self.job.precision), inputs).rows[0]

    def _reachable(self, seen: Survey) -> list[Layer]:
        """The layers asked for. In a model that has none, or none in reach, only methods that need none remain."""
        sealed: str = getattr(self.model.module, "sealed", "")
        if sealed and not self.job.layers:
            self._without_layers(sealed, seen)
            return []
        try:
            return find_layers(self.model, self.job.layers, seen)
        except UnknownName as error:
            raise ModelError(sealed, self._free(seen)) if sealed else error from error
        except ModelError as error:
            if self.job.layers or not self.job.methods or all(chosen.layered for chosen in self.methods):
                raise
            self._without_layers(error.message, seen)
            return []

    def _without_layers(self, why: str, seen: Survey) -> None:
        """Choose a method that needs no layer, or see to it that those asked for need none."""
        free = self._free(seen)
        if not self.job.methods:
            self.methods = choose([WITHOUT_LAYERS], self.job.settings, self.job.smooth)
            self.notes.append(f"method: {WITHOUT_LAYERS}, because {why} ({free})")
        for chosen in self.methods:
            reason = f"method '{chosen.name}' needs a layer: {why}" if chosen.layered else ""
            if not reason and chosen.needs("input gradients") and "smoothgrad" not in free:
                reason = f"method '{chosen.name}' needs gradients, and none reach the input of {self.model.name}"
            if reason and not chosen.optional:
                raise ModelError(reason, free)
            if reason:
                self.skipped[chosen.name] = reason
        if self.methods and len(self.skipped) == len(self.methods):
            raise ModelError(next(iter(self.skipped.values())), free)

    def _free(self, seen: Survey) -> str:
        """The methods that need no layer, as something to type."""
        shape = (1, input_channels(self.model.module), *seen.input_size)
        reached = differentiable(self.model.module, shape)
        names = "occlusion, rise, smoothgrad or integrated-gradients" if reached else "occlusion or rise"
        return f"--method {names} works"

    def __call__(
        self, images: Sequence[Image], inputs: Sequence[NDArray[np.float32]], views: Sequence[View]
    ) -> list[list[SaliencyMap] | InputError]:
        """The maps of each image: targets × layers × methods, in this order. Inputs are of one shape.

        An image in which there is nothing to explain gets the error that says so.
        """
        return self.maps(images, inputs, views, lambda _passed: self.wanted)

    def maps(
        self,
        images: Sequence[Image],
        inputs: Sequence[NDArray[np.float32]],
        views: Sequence[View],
        asking: Callable[[Pass], Sequence[TargetSpec]],
    ) -> list[list[SaliencyMap] | InputError]:
        """As calling it, for targets that are chosen when the forward is done."""
        batch = torch.from_numpy(np.stack(inputs)).to(self.model.device)
        maps: list[list[SaliencyMap]] = [[] for _ in images]
        errors: dict[int, InputError] = {}
        with self.task.attending(self.model.module, (batch.shape[2], batch.shape[3])):
            passed = run_forward(self.ask, batch)
            questions = asking(passed)
            for wanted in questions:
                for targets, here, number in self.rounds(wanted, passed, views, errors):
                    reading = Reading(passed, targets)
                    facet = (wanted.facet,) if len(questions) > 1 else ()
                    facet = facet if number is None else (f"{wanted.facet}{number}",)
                    noise = self._noise(batch, targets) if self.job.floor else {}
                    for found in self.read(reading):
                        self._mark_weak(found, noise)
                        for i in here:
                            place = (images[i], views[i])
                            maps[i].append(self._map(found, i, targets[i], reading, place, facet))
        named = {i: InputError(f"{images[i].name}: {error.message}", error.hint) for i, error in errors.items()}
        return [named[i] if i in named and not made else made for i, made in enumerate(maps)]

    @cached_property
    def twin(self) -> Explainer:
        """The same question to the model with its weights shuffled."""
        return Explainer(shuffled(self.model, self.job.seed), replace(self.job, floor=False))

    def _noise(self, batch: torch.Tensor, targets: Sequence[Target]) -> dict[Kind, list[float]]:
        """By how much the maps of the twin vary for a batch and its targets."""
        twin = self.twin
        with twin.task.attending(twin.model.module, (batch.shape[2], batch.shape[3])):
            return variations(twin.read(Reading(run_forward(twin.ask, batch), targets)))

    def _mark_weak(self, found: Found, noise: dict[Kind, list[float]]) -> None:
        """Say so of maps that vary no more than those of the twin."""
        for facts, values, floor in zip(found.facts, found.values, noise.get(found.kind, ()), strict=False):
            facts["floor"] = floor
            weak = why_weak(values, floor)
            if weak:
                facts["weak"] = weak
                facts.setdefault("note", f"{weak}; 'camviz doctor' looks for the cause")

    def rounds(
        self, wanted: TargetSpec, passed: Pass, views: Sequence[View], errors: dict[int, InputError]
    ) -> Iterator[tuple[list[Target], list[int], int | None]]:
        """(one target per image, the images it is meant for, its number): images may have several, or none."""
        chosen: list[list[Target]] = []
        for i, (row, view) in enumerate(zip(passed.rows, views, strict=True)):
            try:
                chosen.append(self.task.choose(wanted, row, view))
            except InputError as error:
                errors[i] = error
                chosen.append([])
        for number in range(max(map(len, chosen))):
            here = [i for i, targets in enumerate(chosen) if number < len(targets)]
            spare = chosen[here[0]][number]  # where an image has none left, its row is read for another's target
            targets = [targets[number] if number < len(targets) else spare for targets in chosen]
            yield targets, here, number if wanted.several else None

    def _map(
        self,
        found: Found,
        i: int,
        target: Target,
        reading: Reading,
        place: tuple[Image, View],
        facet: tuple[str, ...],
    ) -> SaliencyMap:
        image, view = place
        return SaliencyMap(
            found.values[i],
            found.method,
            found.layer,
            target.label,
            target.index,
            float(reading.scores[i].detach()),
            target.probability,
            self.model.name,
            view,
            image,
            {**target.facts, **found.facts[i]},
            (*facet, *found.facets),
            target.marks,
        )

    def read(self, reading: Reading) -> Iterator[Found]:
        """All maps of one reading: layers × methods; a method without a layer once, a fused one once.

        Raises `ModelError` where nothing of a group works.
        """
        given = False
        for found in self._read(reading):
            given = True
            yield found
        if not given and self.skipped:
            raise ModelError(next(iter(self.skipped.values())), self._instead)

    def _read(self, reading: Reading) -> Iterator[Found]:
        probes = [Probe(reading, layer) for layer in self.layers or [Layer("input")]]
        active = [chosen for chosen in self.methods if chosen.name not in self.skipped]
        for number, probe in enumerate(probes):
            for chosen in active:
                if chosen.name in self.skipped:
                    continue
                if not chosen.layered or (self.job.fuse != "none" and len(probes) > 1):
                    used = probes if chosen.layered else probes[:1]
                    if number == 0:
                        yield from self._try(chosen, used)
                else:
                    yield from self._try(chosen, [probe])

    def _try(self, chosen: Chosen, probes: Sequence[Probe]) -> Iterator[Found]:
        try:
            yield from self._run(chosen, probes)
        except ModelError as error:
            if not chosen.optional:
                raise
            self.skipped[chosen.name] = error.message
            self._instead = self._instead or error.hint

    def _run(self, chosen: Chosen, probes: Sequence[Probe]) -> Iterator[Found]:
        runs, facts = [], []
        for probe in probes:
            probe.facts = [{} for _ in probe.targets]
            runs.append(run_method(chosen, probe, self.job.smooth))
            facts.append(probe.facts)
        merged = [{key: value for part in parts for key, value in part.items()} for parts in zip(*facts, strict=True)]
        layer = "+".join(probe.layer.path for probe in probes) if chosen.layered else "input"
        facets = [layer] if chosen.layered and len(probes) == 1 and len(self.layers) > 1 else []
        facets += [chosen.name] if len(self.methods) > 1 else []
        for number, parts in enumerate(zip(*runs, strict=True)):
            values = (fuse(parts, self.job.fuse) if len(parts) > 1 else parts[0]).cpu().numpy()
            own = [
                {**fact, **({"note": str(reason)} if (reason := why_blank(one, probes[0], i)) else {})}
                for i, (fact, one) in enumerate(zip(merged, values, strict=True))
            ]
            shares = [fact.pop("shares", None) for fact in own]
            if chosen.parts > 1:
                for fact, share in zip(own, shares, strict=True):
                    fact.update({"part": number + 1, "share": share[number]} if share else {"part": number + 1})
            part = [f"part{number + 1}"] if chosen.parts > 1 else []
            yield Found(chosen.name, layer, values, own, (*facets, *part))


def explain(
    model: Any,
    images: Any,
    *,
    method: str | Sequence[str] = (),
    target: str | int | Sequence[str | int] = (),
    layer: str | Sequence[str] = (),
    settings: dict[str, Any] | None = None,
    fit: str = "model",
    **job: Any,
) -> list[SaliencyMap]:
    """Saliency maps of one image or several, in the order images × targets × layers × methods.

    `model` is a `Model`, an `nn.Module`, or what `camviz.load` takes; an image is a path, a PIL image, an array
    (H, W, 3) uint8, or a `Image`; `settings` are of the method ({"samples": 50}, {"rise.samples": 500}). Other
    keywords are those of `Job`: score, precision, batch_size, smooth, fuse, seed. Raises `InputError` for an image
    that cannot be read.
    """
    from camviz.hooks.devices import default_batch_size
    from camviz.models.load import load

    model = model if isinstance(model, Model) else load(model)
    explainer = Explainer(model, job_of(method, target, layer, settings, fit=fit, **job))
    prepared = [(image, *prepare(image, model.preprocessing, fit)) for image in as_images(images)]
    size = explainer.job.batch_size or default_batch_size(model.device)
    found: list[SaliencyMap] = []
    for group in by_shape(prepared, size, key=lambda one: one[1].shape):
        images, inputs, views = zip(*group, strict=True)
        for maps in explainer(images, inputs, views):
            if isinstance(maps, InputError):
                raise maps
            found += maps
    return found


def job_of(
    method: str | Sequence[str] = (),
    target: str | int | Sequence[str | int] = (),
    layer: str | Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    **job: Any,
) -> Job:
    """The job that the arguments of `explain` mean: one name or several, settings of any type."""
    typed = tuple((key, str(value)) for key, value in (settings or {}).items())
    targets = tuple(str(one) for one in as_list(target))
    return Job(methods=tuple(as_list(method)), targets=targets, layers=tuple(as_list(layer)), settings=typed, **job)


def as_list(value: Any) -> list[Any]:
    """One as a list of one."""
    return list(value) if isinstance(value, (list, tuple)) else [value]
