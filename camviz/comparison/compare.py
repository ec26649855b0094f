"""`compare`: images through several models, methods or layers, and back as `Comparison`s."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from camviz.comparison import MOST, Comparison, Comparisons, check_count
from camviz.engine.explain import Explainer, as_list, job_of
from camviz.engine.forward import Pass
from camviz.errors import InputError, RequestError
from camviz.io.images import as_images
from camviz.models.preprocess import prepare
from camviz.tasks import Wanted
from camviz.tasks.classification import Classification, label_of
from camviz.types import Image, Look, Model, SaliencyMap, Target, View

Asked = Sequence[Wanted]


@dataclass(eq=False)
class Member:
    """A model among the compared, with what it is called; made when it is first needed."""

    name: str
    make: Callable[[], Explainer]
    _made: Explainer | None = None

    @property
    def explainer(self) -> Explainer:
        """The model, ready to explain."""
        if self._made is None:
            self._made = self.make()
        return self._made

    def forget(self) -> None:
        """Let go of the model."""
        self._made = None


class Comparer:
    """Asks every member about an image. Without targets it is the class that the `reference` predicts, for all."""

    def __init__(self, members: Sequence[Member], targets: bool, reference: int = 0) -> None:
        self.members, self.targets, self.reference = members, targets, reference

    def __call__(self, images: Sequence[Image]) -> list[list[list[SaliencyMap]] | InputError]:
        """For each image the maps of all members by question: one, or as many as targets were given.

        Up to six models stay in memory; of more there is one at a time, and all images are shown to it.
        """
        first = self.members[self.reference].explainer
        ask = not self.targets and len(self.members) > 1
        found: list[list[list[list[SaliencyMap]]] | InputError] = [[] for _ in images]
        meant: list[Target | None] = []
        for number, image in enumerate(images):
            try:
                meant.append(_predicted(first, image) if ask else None)
            except InputError as error:
                meant.append(None)
                found[number] = error
        for member in self.members:
            for number, (image, target) in enumerate(zip(images, meant, strict=True)):
                groups = found[number]
                if isinstance(groups, InputError):
                    continue
                try:
                    groups.append(self._ask(member, image, target, first))
                except InputError as error:
                    found[number] = error
            if len(self.members) > MOST and member is not self.members[self.reference]:
                member.forget()
        return [one if isinstance(one, InputError) else _by_question(one) for one in found]

    def _ask(self, member: Member, image: Image, meant: Target | None, first: Explainer) -> list[list[SaliencyMap]]:
        """One member's maps, for each question; `meant` is the class to explain, where it has it."""
        explainer = member.explainer
        said: list[Target | None] = []

        def asking(prediction: Target | None) -> Asked:
            said.append(prediction)
            return (counterpart(explainer, meant, first) if meant else ()) or explainer.wanted

        maps = _maps(explainer, image, asking)
        kinds = len({(one.method, one.layer, one.facts.get("part")) for one in maps})
        signed = [
            self._signed(one, member, explainer, said[0], number // max(1, kinds)) for number, one in enumerate(maps)
        ]
        return [signed[start : start + kinds] for start in range(0, len(signed), max(1, kinds))]

    def _signed(
        self, map: SaliencyMap, member: Member, explainer: Explainer, said: Target | None, question: int
    ) -> SaliencyMap:
        """The map with its side in its facts."""
        told = {"side": side_name(map, member, explainer, len(self.members) > 1), "question": question}
        if said:
            told |= {"predicted": said.label, "confidence": said.probability}
        return replace(map, facts={**map.facts, **told})


def _by_question(found: Sequence[Sequence[list[SaliencyMap]]]) -> list[list[SaliencyMap]]:
    """Members × questions × maps to questions × maps."""
    return [[one for maps in question for one in maps] for question in zip(*found, strict=False)]


def side_name(map: SaliencyMap, member: Member, explainer: Explainer, several: bool) -> str:
    """What a map's side is called: its model, its method, its layer, as far as they tell it from the others."""
    parts = [member.name] if several else []
    parts += [map.method] if len(explainer.methods) > 1 else []
    parts += [map.layer] if len(explainer.layers) > 1 and map.layer != "input" else []
    parts += [f"part {map.facts['part']}"] if "part" in map.facts else []
    return " ".join(parts) or member.name


def _maps(explainer: Explainer, image: Image, asking: Callable[[Target | None], Asked]) -> list[SaliencyMap]:
    """An image's maps for what `asking` wants when it has heard what the model says; raises `InputError`."""
    values, view = prepare(image, explainer.model.preprocessing, explainer.job.fit)

    def hearing(passed: Pass) -> Asked:
        return asking(_prediction(explainer, passed.rows[0], view))

    [maps] = explainer.maps([image], [values], [view], hearing)
    if isinstance(maps, InputError):
        raise maps
    return maps


def _predicted(explainer: Explainer, image: Image) -> Target | None:
    said: list[Target | None] = []

    def asking(prediction: Target | None) -> Asked:
        said.append(prediction)
        return ()

    _maps(explainer, image, asking)
    return said[0]


def _prediction(explainer: Explainer, row: Any, view: View) -> Target | None:
    """What the model says when nobody asks for anything; None where there is nothing."""
    [wanted] = explainer.task.parse([explainer.task.default])
    try:
        return explainer.task.choose(wanted, row, view)[0]
    except InputError:
        return None


def counterpart(explainer: Explainer, meant: Target, of: Explainer) -> Asked:
    """The class of the same name in another model, or of the same index where one has no names; else its own."""
    if not (isinstance(explainer.task, Classification) and isinstance(of.task, Classification)):
        return ()
    if meant.index is None:
        return ()
    own, others = explainer.task.labels, of.task.labels
    if own and others:
        named = [i for i, label in enumerate(own) if label.casefold() == label_of(meant.index, others).casefold()]
        return explainer.task.parse([str(named[0])]) if named else ()
    return explainer.task.parse([str(meant.index)])


def compare(
    images: Any,
    models: Any,
    *,
    names: Sequence[str] = (),
    method: str | Sequence[str] = (),
    target: str | int | Sequence[str | int] = (),
    layer: str | Sequence[str] = (),
    settings: dict[str, Any] | None = None,
    scale: str = "",
    look: Look | None = None,
    **job: Any,
) -> Comparisons:
    """Compare two to six maps of each image: of several models, or methods or layers of one.

    `models`: one or several of what `camviz.load` gives or takes, the first being what the others are compared with;
    without a target all explain the class that it predicts. `scale` as in `Look`: "row" for models, "image" for
    methods and layers, whose values have other units. Other arguments as in `camviz.explain`. One comparison per
    image and target; each prints in a notebook as its figure.
    """
    from camviz.models.load import load

    loaded = [one if isinstance(one, Model) else load(one) for one in as_list(models)]
    question = job_of(method, target, layer, settings, **job)
    called = list(names) or distinct([model.name for model in loaded])
    if len(called) != len(loaded):
        raise RequestError(f"{len(called)} names for {len(loaded)} models", "one name for each")
    members = [Member(name, partial(Explainer, model, question)) for name, model in zip(called, loaded, strict=True)]
    look = look or Look()
    look = replace(look, scale=scale or ("row" if len(loaded) > 1 else "image"))
    comparer, found = Comparer(members, bool(question.targets)), Comparisons()
    for image in as_images(images):
        [groups] = comparer([image])
        if isinstance(groups, InputError):
            raise groups
        for maps in groups:
            check_count(len(maps))
            found.append(Comparison.of(maps, look))
    return found


def distinct(names: Sequence[str]) -> list[str]:
    """The names, numbered where several are the same."""
    taken: dict[str, int] = {}
    found = []
    for name in names:
        taken[name] = taken.get(name, 0) + 1
        found.append(f"{name} {taken[name]}" if names.count(name) > 1 else name)
    return found
