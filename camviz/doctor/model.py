"""Checks of the model's numbers: NaN, randomness, modes, outputs that do not depend on the image."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from camviz.doctor import CHECKS, Finding
from camviz.doctor.examination import Examination
from camviz.engine.noise_floor import NoiseFloor
from camviz.hooks.capture import first_tensor

_NORMS = (nn.modules.batchnorm._BatchNorm,)
_FEW = 8  # images from which one class for all is suspicious


@CHECKS.add("nan")
def nan(e: Examination) -> Finding | None:
    """NaN or infinite values, and the layer where they first appear."""
    broken = next((state for state in e.states if not state.finite), None)
    if broken is None:
        return None
    # a container finishes after its children: the first to finish is where it begins
    where = f"layer '{broken.path}' ({broken.kind}) is the first to give NaN or infinite values"
    if not broken.finite_weights:
        return Finding("the weights are broken", f"{where}: its own weights are not finite", "-c an earlier checkpoint")
    if e.request.precision != "fp32":
        return Finding("the numbers overflow", f"{where}, at {e.request.precision}", e.command("--precision fp32"))
    return Finding("the model computes NaN", f"{where}, from finite inputs and weights", "fix that layer's forward")


@CHECKS.add("random")
def random(e: Examination) -> Finding | None:
    """Two forwards of the same images that differ."""
    first, second = first_tensor(e.raw_output), first_tensor(e.output(e.inputs))
    if first is None or second is None or first.shape != second.shape:
        return None
    gap, size = float((first - second).abs().max()), float(first.abs().max())
    if gap <= 1e-4 * max(size, 1e-6):
        return None
    return Finding(
        "two forwards of the same image differ",
        f"by {gap:.3g}, outputs reach {size:.3g}: dropout or noise is active in eval mode",
        "F.dropout(x, p, training=self.training) in the model's forward",
    )


@CHECKS.add("training")
def training(e: Examination) -> Finding | None:
    """A model in training mode, or one that normalizes by the statistics of the batch."""
    by_batch = [
        path
        for path, layer in e.model.module.named_modules()
        if isinstance(layer, _NORMS) and layer.running_mean is None
    ]
    if by_batch:
        return Finding(
            "the output of an image depends on its batch",
            f"{len(by_batch)} BatchNorm layers have no running statistics (first: '{by_batch[0]}')",
            "track_running_stats=True, or --batch-size 1 for repeatable maps",
            "warning",
        )
    sensitive = [type(m).__name__ for m in e.model.module.modules() if isinstance(m, (*_NORMS, nn.Dropout))]
    if e.training and sensitive:
        return Finding(
            "the model is in training mode",
            f"{len(sensitive)} layers differ in training mode: {_unique(sensitive)}; maps are computed in eval mode",
            "model.eval()",
            "warning",
        )
    return None


@CHECKS.add("constant")
def constant(e: Examination) -> Finding | None:
    """Outputs that do not depend on the image."""
    noise = torch.rand(e.inputs[:1].shape, generator=torch.Generator().manual_seed(0)).to(e.inputs)
    first, other = first_tensor(e.raw_output), first_tensor(e.output((noise - 0.5) * 4))
    if first is None or other is None or len(first) != len(e.inputs) or len(other) != 1:
        return None
    tensor = torch.cat([first, other])
    change, size = float(tensor.float().std(0).max()), float(tensor.abs().max())
    if not torch.isfinite(tensor).all() or change > 1e-4 * max(size, 1e-6):
        return None
    return Finding(
        "the output does not depend on the image",
        f"outputs of {len(tensor)} images, including noise, differ by {change:.2g} at most",
        "another checkpoint; a layer may be dead, or an input multiplied by zero",
    )


@CHECKS.add("one-class")
def one_class(e: Examination) -> Finding | None:
    """The same top-1 class for all images, and for images without content as well."""
    if e.logits is None or e.logits.shape[1] < 2 or constant(e) or not e.enough("one-class", _FEW):
        return None
    classes = set(e.logits.argmax(1).tolist())
    references = NoiseFloor(e.explainer.ask).rows
    others = {int(index) for rows in references if rows.ndim == 2 for index in rows.argmax(1)}
    if len(classes) > 1 or not others or others != classes:
        return None
    index = classes.pop()
    return Finding(
        "every image gets the same class",
        f"'{e.model.labels[index] if e.model.labels else index}' is the top-1 class of all {len(e.images)} images, and "
        "of flat and noise images too",
        "another checkpoint; the training may have collapsed to one class",
    )


@CHECKS.add("frozen")
def frozen(e: Examination) -> Finding | None:
    """Frozen parameters and in-place layers: harmless here, but a common cause of blank maps in other tools."""
    parameters = list(e.model.module.parameters())
    stopped = sum(not p.requires_grad for p in parameters)
    inplace = sum(bool(getattr(layer, "inplace", False)) for layer in e.model.module.modules())
    if not stopped:  # most models have in-place layers: not worth a note alone
        return None
    return Finding(
        "frozen parameters or in-place layers",
        f"{stopped} of {len(parameters)} parameters are frozen, {inplace} layers work in place; maps are not affected",
        "",
        "note",
    )


def _unique(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
