"""Checks of the target layer and of the maps."""

from __future__ import annotations

import torch

from camviz.doctor import CHECKS, Finding
from camviz.doctor.examination import Examination
from camviz.errors import ModelError
from camviz.models.layers import default_layer, grid

_GUIDED = ("guided-backprop", "deconvnet", "guided-gradcam")
_COARSE = 3  # cells on the short side: too few to localize anything
_SURE = 0.9999


@CHECKS.add("gradient")
def gradient(e: Examination) -> Finding | None:
    """A layer without gradient, or with gradient at its prefix tokens only."""
    chosen = e.explainer.methods[0]
    if not (chosen.layered and chosen.needs("gradients")):
        return None
    gradients = e.gradients.get(e.layer.path)
    live = e.live_layer()
    fix = e.command(f"--layer {live}") if live else "remove detach() or no_grad from the model's forward"
    if gradients is None:
        return Finding(
            f"the score does not depend on layer '{e.layer.path}'", "the layer is not part of its graph", fix
        )
    if bool(gradients.any()):
        return None
    if e.layer.layout == "tokens" and e.layer.prefix and bool(e.raw_gradient().any()):
        return Finding(
            f"the patch tokens of layer '{e.layer.path}' have no gradient",
            f"only its {e.layer.prefix} prefix token(s) have one: after the last attention the head reads nothing else",
            fix,
        )
    return Finding(f"the score has no gradient at layer '{e.layer.path}'", "every value is exactly zero", fix)


@CHECKS.add("saturated")
def saturated(e: Examination) -> Finding | None:
    """Probabilities so close to 1 that their gradient vanishes."""
    if e.request.score != "prob" or e.logits is None:
        return None
    sure = int((e.logits.softmax(1).amax(1) > _SURE).sum())
    if not sure:
        return None
    return Finding(
        "the softmax is saturated",
        f"{sure} of {len(e.logits)} images have a probability over {_SURE}: its gradient is almost 0",
        e.command("--score logit"),
        "warning",
    )


@CHECKS.add("negative")
def negative(e: Examination) -> Finding | None:
    """Maps without any positive evidence."""
    maps = [(saliency_map, saliency_map.values) for saliency_map in e.maps]
    against = [saliency_map for saliency_map, x in maps if x.max(initial=0) <= 0 and x.min(initial=0) < 0]
    if not against:
        return None
    return Finding(
        f"{len(against)} of {len(e.maps)} maps have no positive value",
        f"all evidence at layer '{e.layer.path}' is against '{against[0].target}'",
        e.command("--sign both") + ", or another --layer",
        "warning",
    )


@CHECKS.add("weak")
def weak(e: Examination) -> Finding | None:
    """Maps without evidence above the noise floor."""
    marked = [saliency_map for saliency_map in e.maps if saliency_map.facts.get("weak")]
    if 2 * len(marked) <= len(e.maps):
        return None
    return Finding(
        f"{len(marked)} of {len(e.maps)} maps are weak",
        marked[0].facts["weak"].removeprefix("weak: "),
        "trained weights: --weights or --checkpoint; else another --target or --layer",
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
    """A layer too coarse to localize, or too early to see objects."""
    if not e.explainer.methods[0].layered:
        return None
    height, width = grid(e.layer, e.seen.input_size)
    if min(height, width) <= _COARSE:
        return Finding(
            f"layer '{e.layer.path}' is too coarse to localize",
            f"its maps are {height}×{width} for an input of {e.seen.input_size[0]}×{e.seen.input_size[1]}",
            "--fit whole or a larger --input-size, or an earlier --layer",
            "warning",
        )
    if not e.request.layers:
        return None
    best = default_layer(e.model, e.seen)
    order = [layer.path for layer in e.seen.layers]
    rows, columns = grid(best, e.seen.input_size)
    finer = height / max(1, rows)
    if finer >= 4 and order.index(e.layer.path) < len(order) / 3:
        return Finding(
            f"layer '{e.layer.path}' is early: it responds to edges and colors, hardly to objects",
            f"its maps are {height}×{width}, those of '{best.path}' {rows}×{columns}",
            e.command(f"--layer {best.path}"),
            "warning",
        )
    return None


@CHECKS.add("memory")
def memory(e: Examination) -> Finding | None:
    """A batch that needs more memory than the device has."""
    device = torch.device(e.model.device)
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    bytes_ = sum(4 * torch.Size(layer.shape).numel() for layer in e.seen.layers)
    batch = max(1, e.request.batch_size)
    if bytes_ * batch < free:
        return None
    return Finding(
        "the batch may not fit into the memory of the device",
        f"about {bytes_ * batch / 1e9:.1f} GB for {batch} images, {free / 1e9:.1f} of {total / 1e9:.1f} GB are free",
        e.command("--batch-size 1"),
        "warning",
    )
