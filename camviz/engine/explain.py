"""`Explainer`: compute saliency maps of images; one forward serves all targets, layers and methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from camviz.engine.arguments import Maps, Options, layer_names, prepared_images, request_of
from camviz.engine.batches import by_shape
from camviz.engine.box_levels import by_level
from camviz.engine.cells import CellAreas
from camviz.engine.forward import MASKS_AT_ONCE, ForwardPass, ForwardRequest, run_forward
from camviz.engine.map_checks import MethodMaps, why_blank
from camviz.engine.noise_floor import NoiseFloor, why_weak
from camviz.engine.probe import Probe, Reading
from camviz.engine.smoothing import fuse, run_method
from camviz.engine.tail_replay import finished_before
from camviz.errors import InputError, ModelError, RequestError, UnknownName
from camviz.hooks.chunks import Chunks
from camviz.io.images import read_image
from camviz.methods import WITHOUT_LAYERS, Chosen, choose
from camviz.models.cautions import cautions
from camviz.models.channels import input_channels
from camviz.models.extra_inputs import batch_size, inputs_of
from camviz.models.layers import box_levels, find_layers, stages_before
from camviz.models.outputs import assumptions, understand
from camviz.models.preprocess import check_channels, prepare
from camviz.models.survey import Survey, differentiable, survey
from camviz.tasks import References, TargetSpec, Task, task_of
from camviz.types import Fuse, Image, Layer, Model, Request, SaliencyMap, Score, Smooth, Target, View


def _check_choices(request: Request) -> None:
    """Raise `RequestError` for a value of score, smooth or fuse that does not exist: Python accepts any text."""
    known = {"score": get_args(Score), "smooth": get_args(Smooth), "fuse": get_args(Fuse)}
    for name, choices in known.items():
        typed = getattr(request, name)
        if typed not in choices and (name, typed) != ("score", None):
            raise RequestError(f"no {name} '{typed}'", f"one of: {', '.join(choices)}")


class Explainer:
    """Compute the maps of a request for one model: checked once, called for many batches.

    `tick(done, total)` is called while many forwards run. `skipped`: why methods of a group were skipped, by name.
    `notes`: defaults that were chosen.
    """

    def __init__(self, model: Model, request: Request, tick: Callable[[int, int], None] | None = None) -> None:
        self.request = request
        _check_choices(request)
        if request.methods:  # an unknown name is reported before the model runs
            choose(request.methods, request.settings, request.smooth)
        check_channels(len(model.preprocessing.mean), model.name)
        model, seen = understand(model, survey(model.module, model.preprocessing.crop, model.name))
        self.model, output = model, seen.output
        self.cells = CellAreas(model, seen)
        self.task = task_of(model, output, request.targets, score=request.score, min_score=request.min_score)
        self.methods = choose(request.methods or [self.task.method], request.settings, request.smooth)
        self.wanted = self.task.parse(request.targets or [self.task.default])
        self.task.check(self.wanted, output)
        if request.smooth == "aug" and self.task.placed:
            raise RequestError(
                f"--smooth aug mirrors the image, and {type(self.task).__name__.lower()} targets have a position in it",
                "--smooth noise moves nothing",
            )
        self.skipped: dict[str, str] = {}
        self._instead = ""
        self.notes = assumptions(model)
        self._noted: set[str] = set()
        if model.preprocessing.frames > 1:
            self._check_clip()
        if not request.methods and self.task.method != Task.method:
            self.notes.append(f"method: {self.task.method} (choose another with --method)")
        self.layers = self._reachable(seen)
        self.levels = box_levels(model, seen) if self.layers and not request.layers else {}
        if self.levels and request.fuse != "none":
            self.layers, self.levels = list(self.levels.values()), {}
        captured = list(dict.fromkeys([*self.layers, *self.levels.values()]))
        self.notes += cautions(seen, self.layers)
        chunks = Chunks(request.batch_size or MASKS_AT_ONCE)
        if tick:
            chunks.tick = tick
        replayed = any(chosen.needs("many forwards") and chosen.layered for chosen in self.methods)
        staged = any(chosen.entry.facts.get("layer") == "stages" for chosen in self.methods)
        self.ask = ForwardRequest(
            model,
            tuple(captured),
            any(chosen.needs("gradients") for chosen in self.methods),
            self.task,
            request.precision,
            chunks,
            request.seed,
            {layer.path: finished_before(seen, layer.path) for layer in captured} if replayed else {},
            {layer.path: stages_before(model, seen, layer) for layer in captured} if staged else {},
            any(chosen.needs("GAP head") for chosen in self.methods),
        )
        self.wanted = self.task.complete(self.wanted, References(self._row_of, model.embed_text))

    def _check_clip(self) -> None:
        """Refuse options and methods that would treat the frames of a clip, stacked vertically, as one image."""
        if self.request.smooth == "aug" or self.request.fuse != "none":
            option = "--smooth aug" if self.request.smooth == "aug" else f"--fuse {self.request.fuse}"
            raise RequestError(f"{option} is for images, and {self.model.name} takes clips", "leave it out")
        for chosen in self.methods:
            if chosen.entry.facts["family"] == "cam" and chosen.entry.facts.get("layer") != "stages":
                continue
            reason = f"method '{chosen.name}' is for images, and {self.model.name} takes clips"
            if not chosen.optional:
                raise ModelError(reason, "--method gradcam, layercam, eigencam or another of the CAM family")
            self.skipped[chosen.name] = reason

    def _row_of(self, path: str) -> Any:
        """Return the model's output row for another image, preprocessed like the request's images."""
        image = read_image(Path(path), self.model.preprocessing.window)
        values, _ = prepare(image, self.model.preprocessing, self.request.fit)
        inputs = torch.from_numpy(values[None]).to(self.model.device)
        with inputs_of(self.model, [image], self.request.fit):
            return run_forward(ForwardRequest(self.model, (), False, self.task, self.request.precision), inputs).rows[0]

    def _reachable(self, seen: Survey) -> list[Layer]:
        """Return the requested layers; none where the model has no layer in reach and the methods need none."""
        sealed: str = getattr(self.model.module, "sealed", "")
        if sealed and not self.request.layers:
            self._without_layers(sealed, seen)
            return []
        try:
            return find_layers(self.model, self.request.layers, seen)
        except UnknownName as error:
            raise ModelError(sealed, self._free(seen)) if sealed else error from error
        except ModelError as error:
            if self.request.layers or not self.request.methods or all(chosen.layered for chosen in self.methods):
                raise
            self._without_layers(error.message, seen)
            return []

    def _without_layers(self, why: str, seen: Survey) -> None:
        """Choose a method that needs no layer, or check that the requested ones need none."""
        free = self._free(seen)
        if not self.request.methods:
            self.methods = choose([WITHOUT_LAYERS], self.request.settings, self.request.smooth)
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
        """Return a hint at the methods that need no layer."""
        shape = (1, input_channels(self.model.module), *seen.input_size)
        reached = differentiable(self.model.module, shape)
        names = "occlusion, rise, smoothgrad or integrated-gradients" if reached else "occlusion or rise"
        return f"--method {names} works"

    def __call__(
        self, images: Sequence[Image], inputs: Sequence[NDArray[np.float32]], views: Sequence[View]
    ) -> list[list[SaliencyMap] | InputError]:
        """Return the maps of each image: targets × layers × methods, in this order. Inputs have one shape.

        An image without anything to explain (no detection, say) gets an `InputError` instead of maps.
        """
        return self.maps(images, inputs, views, lambda _passed: self.wanted)

    def maps(
        self,
        images: Sequence[Image],
        inputs: Sequence[NDArray[np.float32]],
        views: Sequence[View],
        choose_targets: Callable[[ForwardPass], Sequence[TargetSpec]],
    ) -> list[list[SaliencyMap] | InputError]:
        """Return the maps as `__call__` does, for targets chosen after the forward by `choose_targets`."""
        batch = torch.from_numpy(np.stack(inputs)).to(self.model.device)
        maps: list[list[SaliencyMap]] = [[] for _ in images]
        errors: dict[int, InputError] = {}
        attended = self.task.attending(self.model.module, (batch.shape[2], batch.shape[3]))
        with attended, inputs_of(self.model, images, self.request.fit):
            passed = run_forward(self.ask, batch)
            requests = choose_targets(passed)
            for wanted in requests:
                for targets, present, number in self.rounds(wanted, passed, views, errors):
                    reading = Reading(passed, targets)
                    facet = (wanted.facet,) if len(requests) > 1 else ()
                    facet = facet if number is None else (f"{wanted.facet}{number}",)
                    parts = by_level(self.layers, self.levels, targets, present)
                    both = ((each, part) for layers, part in parts for each in self.read(reading, layers))
                    for method_maps, shown in both:
                        if self.request.floor:
                            self._mark_weak(method_maps, reading)
                        for i in shown:
                            image = (images[i], views[i])
                            maps[i].append(self._map(method_maps, i, targets[i], reading, image, facet))
        named = {i: type(error)(f"{images[i].name}: {error.message}", error.hint) for i, error in errors.items()}
        return [named[i] if i in named and not made else made for i, made in enumerate(maps)]

    @cached_property
    def noise_floor(self) -> NoiseFloor:
        """The scores of the model on images without content."""
        return NoiseFloor(self.ask)

    def _mark_weak(self, method_maps: MethodMaps, reading: Reading) -> None:
        """Add the evidence for the target to every map's facts, and mark maps without any above the noise floor."""
        rows = zip(method_maps.facts, method_maps.values, reading.targets, reading.passed.rows, strict=True)
        for facts, values, target, row in rows:
            evidence = self.noise_floor.evidence(target, row)
            if evidence is not None:
                facts["evidence"] = round(evidence, 3)
            weak = why_weak(values, target.label, evidence, self.noise_floor.untrained)
            if weak:
                facts["weak"] = weak
                facts.setdefault("note", f"{weak}; 'camviz doctor' looks for causes")

    def rounds(
        self, wanted: TargetSpec, passed: ForwardPass, views: Sequence[View], errors: dict[int, InputError]
    ) -> Iterator[tuple[list[Target], list[int], int | None]]:
        """Yield (one target per image, the images that have it, its number): an image may have several, or none."""
        chosen: list[list[Target]] = []
        for i, (row, view) in enumerate(zip(passed.rows, views, strict=True)):
            try:
                chosen.append(self.task.choose(wanted, row, view))
            except InputError as error:
                errors[i] = error
                chosen.append([])
        for number in range(max(map(len, chosen))):
            present = [i for i, targets in enumerate(chosen) if number < len(targets)]
            spare = chosen[present[0]][number]  # an image without this target is read with another image's
            targets = [targets[number] if number < len(targets) else spare for targets in chosen]
            yield targets, present, number if wanted.several else None

    def _map(
        self,
        method_maps: MethodMaps,
        i: int,
        target: Target,
        reading: Reading,
        shown: tuple[Image, View],
        facet: tuple[str, ...],
    ) -> SaliencyMap:
        image, view = shown
        return SaliencyMap(
            method_maps.values[i],
            method_maps.method,
            method_maps.layer,
            target.label,
            target.index,
            float(reading.scores[i].detach()),
            target.probability,
            self.model.name,
            replace(view, cells=method_maps.cells or view.cells),
            image,
            {**target.facts, **method_maps.facts[i], **self._reported(image)},
            (*facet, *method_maps.facets),
            target.marks,
        )

    def _reported(self, image: Image) -> dict[str, Any]:
        """Return how the output is read, and how pixels beyond eight bits were scaled: a note the first time."""
        facts: dict[str, Any] = {"output": self.model.output.facts()} if self.model.output else {}
        if image.note:
            facts["pixels"] = image.note
            if image.note not in self._noted:
                self._noted.add(image.note)
                facts["note"] = image.note
        return facts

    def read(self, reading: Reading, layers: Sequence[Layer] = ()) -> Iterator[MethodMaps]:
        """Yield all maps of one reading: layers × methods; methods without a layer and fused maps once.

        Without `layers` those of the job. Raises `ModelError` where no method of a group works.
        """
        empty = True
        for method_maps in self._read(reading, layers or self.layers):
            empty = False
            yield method_maps
        if empty and self.skipped:
            raise ModelError(next(iter(self.skipped.values())), self._instead)

    def _read(self, reading: Reading, layers: Sequence[Layer]) -> Iterator[MethodMaps]:
        probes = [Probe(reading, layer) for layer in layers or [Layer("input")]]
        active = [chosen for chosen in self.methods if chosen.name not in self.skipped]
        for number, probe in enumerate(probes):
            for chosen in active:
                if chosen.name in self.skipped:
                    continue
                if not chosen.layered or (self.request.fuse != "none" and len(probes) > 1):
                    used = probes if chosen.layered else probes[:1]
                    if number == 0:
                        yield from self._try(chosen, used)
                else:
                    yield from self._try(chosen, [probe])

    def _try(self, chosen: Chosen, probes: Sequence[Probe]) -> Iterator[MethodMaps]:
        try:
            yield from self._run(chosen, probes)
        except ModelError as error:
            if not chosen.optional:
                raise
            self.skipped[chosen.name] = error.message
            self._instead = self._instead or error.hint

    def _run(self, chosen: Chosen, probes: Sequence[Probe]) -> Iterator[MethodMaps]:
        runs, facts = [], []
        for probe in probes:
            probe.facts = [{} for _ in probe.targets]
            runs.append(run_method(chosen, probe, self.request.smooth))
            facts.append(probe.facts)
        merged = [{key: value for part in parts for key, value in part.items()} for parts in zip(*facts, strict=True)]
        layer = "+".join(probe.layer.path for probe in probes) if chosen.layered else "input"
        facets = [layer] if chosen.layered and len(probes) == 1 and len(self.layers) > 1 else []
        facets += [chosen.name] if len(self.methods) > 1 else []
        for number, parts in enumerate(zip(*runs, strict=True)):
            values = (fuse(parts, self.request.fuse) if len(parts) > 1 else parts[0]).cpu().numpy()
            specific = not chosen.needs("activations")
            reasons = [why_blank(saliency_map, probes[0], i, specific) for i, saliency_map in enumerate(values)]
            notes = [{"note": str(reason)} if reason else {} for reason in reasons]
            part_facts = [{**fact, **note} for fact, note in zip(merged, notes, strict=True)]
            shares = [fact.pop("shares", None) for fact in part_facts]
            if chosen.parts > 1:
                for fact, share in zip(part_facts, shares, strict=True):
                    fact.update({"part": number + 1, "share": share[number]} if share else {"part": number + 1})
            if chosen.per_pixel:
                part_facts = [{**fact, "per_pixel": True} for fact in part_facts]
            part = [f"part{number + 1}"] if chosen.parts > 1 else []
            cells = self.cells.of(probes, values.shape) if chosen.layered else None
            yield MethodMaps(chosen.name, layer, values, part_facts, (*facets, *part), cells)


def explain(
    model: Any,
    images: Any,
    *,
    method: str | Sequence[str] = (),
    target: str | int | Sequence[str | int] = (),
    layer: Any = (),
    settings: dict[str, Any] | None = None,
    fit: str = "model",
    normalized: bool = False,
    **options: Unpack[Options],
) -> list[SaliencyMap]:
    """Return the saliency maps of one or several images, in the order images × targets × layers × methods.

    `model` is a `Model`, an `nn.Module`, or a name or path as for `camviz.load`; an image is a path, a PIL image, an
    array (H, W, 3) or tensor (3, H, W) of bytes or of floats of 0 to 1, or an `Image`; several are a list, a batch, a
    Dataset or a DataLoader. `normalized` tensors are the model's input as they are. A `layer` is a path, a pattern or
    a module, or several. `settings` belong to methods ({"samples": 50}, {"rise.samples": 500}). Other keywords are
    those of `Options`. Raises `InputError` for an image that cannot be read.
    """
    from camviz.models.load import load

    model = model if isinstance(model, Model) else load(model)
    explainer = Explainer(model, request_of(method, target, layer_names(layer, model), settings, fit, **options))
    prepared = prepared_images(images, model.preprocessing, fit, normalized)
    size = batch_size(model, explainer.request.batch_size)
    saliency_maps = Maps()
    for batch in by_shape(prepared, size, key=lambda item: item[1].shape):
        images, inputs, views = zip(*batch, strict=True)
        for maps in explainer(images, inputs, views):
            if isinstance(maps, InputError):
                raise maps
            saliency_maps += maps
    return saliency_maps
