"""Checks of the images and how they are prepared: contents, normalization, channel order, orientation, size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from camviz.doctor import CHECKS, Finding
from camviz.doctor.alternatives import best_alternative, judges
from camviz.doctor.examination import Examination, probabilities
from camviz.engine.untrained import untrained_weights
from camviz.hooks.capture import first_tensor
from camviz.types import Image

_WIDEST = 20.0  # no common normalization makes larger inputs
_BLANK, _RANDOM = 2.0, 0.25  # standard deviation in gray levels; correlation of neighboring pixels
_MIDDLE = 512  # pixels
_FEW = 8  # images from which a change of preprocessing can be judged


@CHECKS.add("images")
def images(e: Examination) -> Finding | None:
    """Images without content: of one color, or noise."""
    if "images" not in e.memo:
        e.memo["images"] = _without_content(e)
    finding: Finding | None = e.memo["images"]
    return finding


def _without_content(e: Examination) -> Finding | None:
    for count, what in ((sum(map(_blank, e.images)), "one color"), (sum(map(_noise, e.images)), "noise")):
        if 2 * count > len(e.images):
            return Finding(
                f"{count} of {len(e.images)} images are {what}",
                "all pixels are equal" if what == "one color" else "neighboring pixels are not correlated",
                "other images, or look at how they were read and saved",
            )
    return None


def _gray(image: Image) -> NDArray[np.float64]:
    """Return the gray levels of the middle of an image, at most 512×512: neighboring pixels stay neighbors."""
    top, left = (max(0, (side - _MIDDLE) // 2) for side in (image.height, image.width))
    return np.asarray(image.pixels[top : top + _MIDDLE, left : left + _MIDDLE].mean(2, dtype=np.float64))


def _blank(image: Image) -> bool:
    return float(_gray(image).std()) < _BLANK


def _noise(image: Image) -> bool:
    gray = _gray(image)
    if min(gray.shape) < 8 or _blank(image):
        return False
    across = np.corrcoef(gray[:, 1:].ravel(), gray[:, :-1].ravel())[0, 1]
    down = np.corrcoef(gray[1:].ravel(), gray[:-1].ravel())[0, 1]
    return bool(max(across, down) < _RANDOM)


@CHECKS.add("normalization")
def normalization(e: Examination) -> Finding | None:
    """Inputs prepared in another way than in training: normalization, channel order, orientation or size.

    Alternatives are tried. The class names in the files' paths, BatchNorm's running statistics or, without both, the
    confidence must certainly rise with one of them.
    """
    largest = float(e.inputs.abs().max())
    if largest > _WIDEST:
        return Finding(
            "the input is not normalized",
            f"values reach {largest:.0f}; models expect a few units around zero",
            e.command("--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"),
        )
    if e.logits is None or e.logits.shape[1] < 2 or untrained_weights(e.model.module) or images(e):
        return None  # the scores of a model that learned nothing, or of images without content, show nothing
    if not e.enough("normalization", _FEW) and not any(len(e.images) >= judge.needs for judge in judges(e)):
        return None
    best = best_alternative(e)
    if best is None:
        return None
    alternative, judge, now, then = best
    return Finding(
        f"wrong {alternative.kind}: the model was probably trained with {alternative.name} images"
        if alternative.kind in ("orientation", "input size")
        else f"wrong {alternative.kind}: {alternative.name} fits better",
        f"{judge.name} ({len(e.inputs)} images): {now:.3g} as it is, {then:.3g} with it",
        e.command(alternative.options) if alternative.options else "rotate or flip the images as in training",
    )


@CHECKS.add("probabilities")
def probabilities_inside(e: Examination) -> Finding | None:
    """A model whose output is already a softmax or sigmoid."""
    output = first_tensor(e.raw_output)
    kind = "" if output is None else probabilities(output.float())
    if not kind:
        return None
    return Finding(
        f"the model ends in a {kind}: its outputs are probabilities, not logits",
        f"all outputs of {len(e.inputs)} images are {'log ' if kind == 'log_softmax' else ''}probabilities",
        "return the scores before it in the model's forward, or use --output-key if the model returns both",
        "warning",
    )


@CHECKS.add("target")
def target(e: Examination) -> Finding | None:
    """A requested class that the model predicts in none of the images."""
    if e.logits is None or not e.request.targets or e.request.targets[0].startswith("top"):
        return None
    chosen = e.targets[0].index
    if chosen is None:
        return None
    chances = e.logits.softmax(1)[:, chosen]
    ranks = (e.logits > e.logits[:, chosen : chosen + 1]).sum(1) + 1
    if float(chances.max()) >= 0.01 or int(ranks.min()) <= 5:
        return None
    top = int(e.logits[0].argmax())
    best = e.model.labels[top] if e.model.labels else str(top)
    return Finding(
        f"'{e.targets[0].label}' is in none of these images, to the model",
        f"its probability is {float(chances.max()):.2g} at most, its best rank {int(ranks.min())}; "
        f"the top-1 class of the first image is '{best}'",
        e.command(f"--target '{best}'"),
        "warning",
    )
