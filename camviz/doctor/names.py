"""Checks of class names: known names in another order, names that contradict the files' paths."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

from camviz.doctor import CHECKS, Finding
from camviz.doctor.examination import Examination, plain
from camviz.engine.untrained import untrained_weights
from camviz.models.catalog import imagenet_labels

_FEW = 8  # images with a class name in their path
_CHANCE = 0.002  # of so few agreements, if the model were right in 60 % of the cases that its confidence promises


@CHECKS.add("labels")
def labels(e: Examination) -> Finding | None:
    """Class names that do not fit: known names in another order, or against the files' paths."""
    names = [plain(name) for name in e.model.labels]
    known = [plain(name) for name in imagenet_labels()]
    if len(names) == len(known) and sorted(names) == sorted(known):
        moved = sum(a != b for a, b in zip(names, known, strict=True))
        if moved:
            return Finding(
                "the class names are in another order than the model's",
                f"they are ImageNet's names, {moved} of them out of place",
                "leave --labels out, or sort the file by class index",
            )
    if e.logits is None or not names or untrained_weights(e.model.module) or not e.named_classes:
        return None
    if not e.enough("labels", _FEW, len(e.named_classes)):
        return None
    predicted = e.logits.argmax(1).tolist()
    right = sum(predicted[number] == index for number, index in e.named_classes.items())
    named, confidence = len(e.named_classes), float(e.confidence(e.inputs).mean())
    if _likelihood(right, named, 0.6 * confidence) > _CHANCE:
        return None
    evidence = f"{named} images have a class name in their path; it is the top-1 class of {right} of them, "
    return Finding(
        "the class names do not fit what the images are called",
        evidence + f"at a mean confidence of {confidence:.0%}{_order(e, predicted)}",
        "--labels FILE in the order of training",
    )


def _likelihood(right: int, total: int, chance: float) -> float:
    """Return the probability of at most `right` agreements out of `total`."""
    return sum(comb(total, k) * chance**k * (1 - chance) ** (total - k) for k in range(right + 1))


def _order(e: Examination, predicted: list[int]) -> str:
    """Return which simple change of the order makes most names fit, in words; "" if none does."""
    count = len(e.model.labels)
    changes: dict[str, Callable[[int], int]] = {
        "shifted by one": lambda index: (index + 1) % count,
        "shifted by one the other way": lambda index: (index - 1) % count,
        "in reverse order": lambda index: count - 1 - index,
    }
    for words, change in changes.items():
        fitting = sum(change(predicted[number]) == index for number, index in e.named_classes.items())
        if fitting > 0.5 * len(e.named_classes):
            return f"; the names look {words}: {fitting} fit then"
    return ""
