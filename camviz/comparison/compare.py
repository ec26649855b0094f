"""Compute the maps of several models, methods or layers for the same images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from camviz.comparison import MOST, Comparison, Comparisons, check_count
from camviz.engine.arguments import Options, as_list, layer_names, request_of
from camviz.engine.explain import Explainer
from camviz.engine.forward import ForwardPass
from camviz.errors import InputError, RequestError
from camviz.io.notebook import iterate_images
from camviz.models.preprocess import prepare, tensors_as_inputs
from camviz.tasks import TargetSpec
from camviz.tasks.classification import Classification, label_of
from camviz.types import Image, Look, Model, SaliencyMap, Target, View

Targets = Sequence[TargetSpec]


@dataclass(eq=False)
class Member:
    """A compared model with its display name; loaded on first use."""

    name: str
    make: Callable[[], Explainer]
    _made: Explainer | None = None

    @property
    def explainer(self) -> Explainer:
        """The explainer of the model; loads the model on first use."""
        if self._made is None:
            self._made = self.make()
        return self._made

    def forget(self) -> None:
        """Release the model's memory."""
        self._made = None


class Comparer:
    """Explain images with every member: for the targets, or without any for the class that `reference` predicts."""

    def __init__(
        self,
        members: Sequence[Member],
        targets: bool,
        reference: int = 0,
        prepare: Callable[..., tuple[NDArray[np.float32], View]] = prepare,
    ) -> None:
        self.members, self.targets, self.reference, self.prepare = members, targets, reference, prepare

    @property
    def window(self) -> tuple[float, float] | None:
        """The stored values that become black and white, of images beyond eight bits."""
        return self.members[self.reference].explainer.model.preprocessing.window

    def __call__(self, images: Sequence[Image]) -> list[list[list[SaliencyMap]] | InputError]:
        """Return for each image the maps of all members, grouped by target.

        Up to six models stay in memory; more are loaded one at a time, each for all images.
        """
        first = self.members[self.reference].explainer
        shared = not self.targets and len(self.members) > 1
        results: list[list[list[list[SaliencyMap]]] | InputError] = [[] for _ in images]
        predicted: list[Target | None] = []
        for number, image in enumerate(images):
            try:
                predicted.append(self._predicted(first, image) if shared else None)
            except InputError as error:
                predicted.append(None)
                results[number] = error
        for member in self.members:
            for number, (image, target) in enumerate(zip(images, predicted, strict=True)):
                groups = results[number]
                if isinstance(groups, InputError):
                    continue
                try:
                    groups.append(self._explain(member, image, target, first))
                except InputError as error:
                    results[number] = error
            if len(self.members) > MOST and member is not self.members[self.reference]:
                member.forget()
        return [groups if isinstance(groups, InputError) else _by_target(groups) for groups in results]

    def _explain(
        self, member: Member, image: Image, shared: Target | None, first: Explainer
    ) -> list[list[SaliencyMap]]:
        """Return one member's maps by target; `shared` is the class to explain if the model has it."""
        explainer = member.explainer
        predictions: list[Target | None] = []

        def choose(prediction: Target | None) -> Targets:
            predictions.append(prediction)
            return (counterpart(explainer, shared, first) if shared else ()) or explainer.wanted

        maps = self._maps(explainer, image, choose)
        kinds = max(1, len({(each.method, each.layer, each.facts.get("part")) for each in maps}))
        several = len(self.members) > 1
        named = []
        for number, saliency_map in enumerate(maps):
            facts = {"side": side_name(saliency_map, member, explainer, several), "question": number // kinds}
            if predictions[0]:
                facts |= {"predicted": predictions[0].label, "confidence": predictions[0].probability}
            named.append(replace(saliency_map, facts={**saliency_map.facts, **facts}))
        return [named[start : start + kinds] for start in range(0, len(named), kinds)]

    def _maps(
        self, explainer: Explainer, image: Image, choose: Callable[[Target | None], Targets]
    ) -> list[SaliencyMap]:
        """Return an image's maps for the targets that `choose` returns for the prediction; raise `InputError`."""
        values, view = self.prepare(image, explainer.model.preprocessing, explainer.request.fit)

        def targets(passed: ForwardPass) -> Targets:
            return choose(_prediction(explainer, passed.rows[0], view))

        [maps] = explainer.maps([image], [values], [view], targets)
        if isinstance(maps, InputError):
            raise maps
        return maps

    def _predicted(self, explainer: Explainer, image: Image) -> Target | None:
        predictions: list[Target | None] = []

        def choose(prediction: Target | None) -> Targets:
            predictions.append(prediction)
            return ()

        self._maps(explainer, image, choose)
        return predictions[0]


def _by_target(groups: Sequence[Sequence[list[SaliencyMap]]]) -> list[list[SaliencyMap]]:
    """Regroup members × targets × maps to targets × maps."""
    return [[saliency_map for maps in target for saliency_map in maps] for target in zip(*groups, strict=False)]


def side_name(map: SaliencyMap, member: Member, explainer: Explainer, several: bool) -> str:
    """Return the display name of a side: model, method and layer, each only where several are compared."""
    parts = [member.name] if several else []
    parts += [map.method] if len(explainer.methods) > 1 else []
    parts += [map.layer] if len(explainer.layers) > 1 and map.layer != "input" else []
    parts += [f"part {map.facts['part']}"] if "part" in map.facts else []
    return " ".join(parts) or member.name


def _prediction(explainer: Explainer, row: Any, view: View) -> Target | None:
    """Return the default target of the model's task for an output row, None if there is none (no detection)."""
    [wanted] = explainer.task.parse([explainer.task.default])
    try:
        return explainer.task.choose(wanted, row, view)[0]
    except InputError:
        return None


def counterpart(explainer: Explainer, target: Target, of: Explainer) -> Targets:
    """Return the class of the same name in another model, or of the same index if a model has no names; else ()."""
    if not (isinstance(explainer.task, Classification) and isinstance(of.task, Classification)):
        return ()
    if target.index is None:
        return ()
    labels, others = explainer.task.labels, of.task.labels
    if labels and others:
        name = label_of(target.index, others).casefold()
        same = [index for index, label in enumerate(labels) if label.casefold() == name]
        return explainer.task.parse([str(same[0])]) if same else ()
    return explainer.task.parse([str(target.index)])


def compare(
    images: Any,
    models: Any,
    *,
    names: Sequence[str] = (),
    method: str | Sequence[str] = (),
    target: str | int | Sequence[str | int] = (),
    layer: Any = (),
    settings: dict[str, Any] | None = None,
    scale: str = "",
    look: Look | None = None,
    fit: str = "model",
    normalized: bool = False,
    **options: Unpack[Options],
) -> Comparisons:
    """Compare two to six maps of each image: of several models, or of several methods or layers of one model.

    `models`: one or several models, each a `Model` or an argument of `camviz.load`; the others are compared with the
    first, and without a target all explain its top-1 class. `scale` as in `Look`; the default is "row" for models and
    "image" for methods and layers, whose values have different units. Other arguments as in `camviz.explain`.
    Returns one `Comparison` per image and target; a notebook shows its figure.
    """
    from camviz.models.load import load

    loaded = [model if isinstance(model, Model) else load(model) for model in as_list(models)]
    request = request_of(method, target, layer_names(layer, *loaded), settings, fit=fit, **options)
    called = list(names) or distinct([model.name for model in loaded])
    if len(called) != len(loaded):
        raise RequestError(f"{len(called)} names for {len(loaded)} models", "pass one name per model")
    members = [Member(name, partial(Explainer, model, request)) for name, model in zip(called, loaded, strict=True)]
    look = look or Look()
    look = replace(look, scale=scale or ("row" if len(loaded) > 1 else "image"))
    comparisons = Comparisons()
    if normalized:  # one tensor for all models
        ready = {image: (values, view) for image, values, view in tensors_as_inputs(images, loaded[0].preprocessing)}
        comparer = Comparer(members, bool(request.targets), prepare=lambda image, *_: ready[image])
        images = list(ready)
    else:
        comparer = Comparer(members, bool(request.targets))
    for image in iterate_images(images, comparer.window):
        [groups] = comparer([image])
        if isinstance(groups, InputError):
            raise groups
        for maps in groups:
            check_count(len(maps))
            comparisons.append(Comparison.of(maps, look))
    return comparisons


def distinct(names: Sequence[str]) -> list[str]:
    """Return the names with a number appended to duplicates."""
    counts: dict[str, int] = {}
    numbered = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        numbered.append(f"{name} {counts[name]}" if names.count(name) > 1 else name)
    return numbered
