"""Checks of the layer and of the maps that come out."""

from __future__ import annotations

import torch

from camviz.doctor import CHECKS, Finding
from camviz.doctor.examination import Examination
from camviz.errors import ModelError
from camviz.models.layers import default_layer, grid

_GUIDED = ("guided-backprop", "deconvnet", "guided-gradcam")
_COARSE = 3  # cells on the short side: fewer say little about where
_SURE = 0.9999


@CHECKS.add("gradient")
def gradient(e: Examination) -> Finding | None:
    """A layer that the score has no gradient at, or only at its prefix tokens."""
    chosen = e.explainer.methods[0]
    if not (chosen.layered and chosen.needs("gradients")):
        return None
    found = e.gradients.get(e.layer.path)
    live = e.live_layer()
    mend = e.command(f"--layer {live}") if live else "is there a detach() or a no_grad in the model's forward?"
    if found is None:
        return Finding(
            f"the score does not depend on layer '{e.layer.path}'", "no path leads from it to the score", mend
        )
    if bool(found.any()):
        return None
    if e.layer.layout == "tokens" and e.layer.prefix and bool(e.raw_gradient().any()):
        return Finding(
            f"the patch tokens of layer '{e.layer.path}' are dead",
            f"only its {e.layer.prefix} prefix token(s) have a gradient: behind the last attention nothing else counts",
            mend,
        )
    return Finding(f"the score has no gradient at layer '{e.layer.path}'", "every value of it is exactly zero", mend)


@CHECKS.add("saturated")
def saturated(e: Examination) -> Finding | None:
    """Probabilities so close to one that their differences are lost."""
    if e.job.score != "prob" or e.logits is None:
        return None
    sure = int((e.logits.softmax(1).amax(1) > _SURE).sum())
    if not sure:
        return None
    return Finding(
        "the softmax is saturated",
        f"{sure} of {len(e.logits)} images have a probability over {_SURE}: its gradient is next to nothing",
        e.command("--score logit"),
        "warning",
    )


@CHECKS.add("negative")
def negative(e: Examination) -> Finding | None:
    """Maps in which nothing speaks for the class."""
    against = [one for one in e.maps if one.values.max(initial=0) <= 0 and one.values.min(initial=0) < 0]
    if not against:
        return None
    return Finding(
        f"{len(against)} of {len(e.maps)} maps have no positive value",
        f"all evidence at layer '{e.layer.path}' speaks against '{against[0].target}'",
        e.command("--sign both") + ", or another --layer",
        "warning",
    )


@CHECKS.add("weak")
def weak(e: Examination) -> Finding | None:
    """Maps that vary no more than those of the same model with its weights shuffled."""
    marked = [one for one in e.against_noise if one.facts.get("weak")]
    if 2 * len(marked) <= len(e.against_noise):
        return None
    return Finding(
        f"{len(marked)} of {len(e.against_noise)} maps are no stronger than noise",
        f"{marked[0].facts['weak'].removeprefix('weak: it ')}, for '{marked[0].target}'",
        "trained weights: --weights or --checkpoint; else another --layer or --method",
        "warning",
    )


@CHECKS.add("guided")
def guided(e: Examination) -> Finding | None:
    """Guided backpropagation on a model without ReLUs."""
    if e.method not in _GUIDED:
        return None
    try:
        _ = e.maps
    except ModelError as error:
        return Finding("guided backpropagation changes nothing here", error.message, e.command("--method smoothgrad"))
    return None


@CHECKS.add("resolution")
def resolution(e: Examination) -> Finding | None:
    """A layer too coarse to say where, or so early that it says little about what."""
    if not e.explainer.methods[0].layered:
        return None
    height, width = grid(e.layer, e.seen.input_size)
    if min(height, width) <= _COARSE:
        return Finding(
            f"layer '{e.layer.path}' is too coarse to say where",
            f"its maps are {height}×{width} for an input of {e.seen.input_size[0]}×{e.seen.input_size[1]}",
            "--fit whole or a larger --input-size, or an earlier --layer",
            "warning",
        )
    if not e.job.layers:
        return None
    best = default_layer(e.model, e.seen)
    order = [one.path for one in e.seen.layers]
    rows, columns = grid(best, e.seen.input_size)
    finer = height / max(1, rows)
    if finer >= 4 and order.index(e.layer.path) < len(order) / 3:
        return Finding(
            f"layer '{e.layer.path}' is early: it sees edges and colors, hardly objects",
            f"its maps are {height}×{width}, those of '{best.path}' {rows}×{columns}",
            e.command(f"--layer {best.path}"),
            "warning",
        )
    return None


@CHECKS.add("memory")
def memory(e: Examination) -> Finding | None:
    """More memory than there is."""
    device = torch.device(e.model.device)
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    bytes_ = sum(4 * torch.Size(one.shape).numel() for one in e.seen.layers)
    batch = max(1, e.job.batch_size)
    if bytes_ * batch < free:
        return None
    return Finding(
        "the batch may not fit into the memory of the device",
        f"about {bytes_ * batch / 1e9:.1f} GB for {batch} images, {free / 1e9:.1f} of {total / 1e9:.1f} GB are free",
        e.command("--batch-size 1"),
        "warning",
    )
