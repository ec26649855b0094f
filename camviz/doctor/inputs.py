"""Checks of what goes in and how it is called: normalization, channel order, class names, targets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from camviz.doctor import CHECKS, Finding
from camviz.doctor.examination import Examination
from camviz.doctor.model import untrained
from camviz.models.catalog import imagenet_labels
from camviz.types import Order, Preprocessing

_STATISTICS = {
    "ImageNet's": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "-1 to 1": ((0.5,) * 3, (0.5,) * 3),
    "0 to 1": ((0.0,) * 3, (1.0,) * 3),
}
_WIDEST = 20.0  # no common normalization gives larger inputs
_FEW = 6  # images, fewer than which need a large rise
_CERTAIN = 2.5  # standard errors by which confidence must rise


@CHECKS.add("normalization")
def normalization(e: Examination) -> Finding | None:
    """Inputs of another scale, normalization or channel order than in training.

    The likely alternatives are tried. A right one is recognized by confidence: images that are seen as in training
    are told apart more surely. The reverse is not shown by it: a larger scale always looks surer, so none is tried.
    """
    logits = e.logits
    largest = float(e.inputs.abs().max())
    if largest > _WIDEST:
        return Finding(
            "the input is not normalized",
            f"values reach {largest:.0f}; models expect a few units around zero",
            e.command("--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"),
        )
    if logits is None or logits.shape[1] < 2 or untrained(e):
        return None  # of a model that learned nothing, its confidence says nothing
    now = _confidence(logits)
    best: tuple[float, str, Preprocessing] | None = None
    for name, how in _alternatives(e.model.preprocessing):
        other = e.seen_as(how)
        if other is None:
            continue
        rise = _confidence(other) - now
        mean = float(rise.mean())
        if len(rise) < _FEW:
            sure = mean > 0.2 and bool((rise > 0).all())
        else:
            sure = mean > max(0.03, _CERTAIN * float(rise.std()) / len(rise) ** 0.5)
        sure = sure and float(now.mean()) + mean > 0.5  # a model that is never sure of anything shows nothing by it
        if sure and (best is None or mean > best[0]):
            best = mean, name, how
    if best is None:
        return None
    rise_, name, how = best
    return Finding(
        f"the input is probably not as in training: {name} fits better",
        f"mean confidence {float(now.mean()):.1%} becomes {float(now.mean()) + rise_:.1%} on {len(now)} images",
        e.command(_options(how, e.model.preprocessing)),
    )


def _confidence(logits: Tensor) -> Tensor:
    return logits.softmax(1).amax(1)


def _alternatives(now: Preprocessing) -> Iterator[tuple[str, Preprocessing]]:
    if len(now.mean) != 3:
        return
    other: Order = "bgr" if now.order == "rgb" else "rgb"
    for words, (mean, std) in _STATISTICS.items():
        if _close(mean, now.mean) and _close(std, now.std):
            yield f"{other.upper()} order", replace(now, order=other)
        else:
            yield f"{words} normalization", replace(now, mean=mean, std=std)
            yield f"{words} normalization in {other.upper()} order", replace(now, mean=mean, std=std, order=other)


def _close(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(abs(a - b) < 0.02 for a, b in zip(one, other, strict=True))


def _options(how: Preprocessing, now: Preprocessing) -> str:
    words = []
    if (how.mean, how.std) != (now.mean, now.std):
        words.append("--mean " + ",".join(f"{x:g}" for x in how.mean) + " --std " + ",".join(f"{x:g}" for x in how.std))
    if how.order != now.order:
        words.append(f"--channel-order {how.order}")
    return " ".join(words)


@CHECKS.add("labels")
def labels(e: Examination) -> Finding | None:
    """Class names that do not fit: known names in another order, or against what the images are called."""
    names = [_plain(name) for name in e.model.labels]
    known = [_plain(name) for name in imagenet_labels()]
    if len(names) == len(known) and sorted(names) == sorted(known):
        moved = sum(a != b for a, b in zip(names, known, strict=True))
        if moved:
            return Finding(
                "the class names are in another order than the model's",
                f"they are ImageNet's names, {moved} of them out of place",
                "leave --labels out, or sort the file by class index",
            )
    if e.logits is None or not names or untrained(e):
        return None
    right, named = _agreement(e, names)
    if named < 4 or right > 0.2 * named or float(_confidence(e.logits).mean()) < 0.5:
        return None
    return Finding(
        "the class names do not fit what the images are called",
        f"{named} images have a class name in their path; {right} of them get it among the first five, "
        f"at a mean confidence of {float(_confidence(e.logits).mean()):.0%}",
        "--labels FILE in the order of training",
    )


def _agreement(e: Examination, names: list[str]) -> tuple[int, int]:
    """(images whose path names one of their five likeliest classes, images whose path names a class)."""
    assert e.logits is not None
    right = named = 0
    for image, row in zip(e.images, e.logits, strict=True):
        parts = [] if image.path is None else [image.path.stem, image.path.parent.name]
        text = " " + " ".join(_plain(part) for part in parts) + " "
        called = {index for index, name in enumerate(names) if name and f" {name} " in text}
        if called:
            named += 1
            right += bool(called & set(row.topk(min(5, len(names))).indices.tolist()))
    return right, named


def _plain(text: str) -> str:
    """A name without case, signs or a WordNet number."""
    return " ".join(re.sub(r"\bn\d{8}\b", " ", re.sub(r"[\W_]+", " ", text.casefold())).split())


@CHECKS.add("target")
def target(e: Examination) -> Finding | None:
    """A class asked for that the model hardly sees."""
    if e.logits is None or not e.job.targets or e.job.targets[0].startswith("top"):
        return None
    chosen = e.targets[0].index
    if chosen is None:
        return None
    chances = e.logits.softmax(1)[:, chosen]
    ranks = (e.logits > e.logits[:, chosen : chosen + 1]).sum(1) + 1
    if float(chances.max()) >= 0.01 or int(ranks.min()) <= 5:
        return None
    best = e.model.labels[int(e.logits[0].argmax())] if e.model.labels else str(int(e.logits[0].argmax()))
    return Finding(
        f"the model does not see '{e.targets[0].label}' in any of these images",
        f"its probability is {float(chances.max()):.2g} at most, its best rank {int(ranks.min())}; "
        f"the first image is '{best}' to it",
        e.command(f"--target '{best}'"),
        "warning",
    )
