"""Checks of the model itself: its weights, its numbers, whether its answers can be trusted at all."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from camviz.doctor import CHECKS, Finding
from camviz.doctor.examination import Examination
from camviz.engine.untrained import untrained_head, untrained_weights
from camviz.hooks.capture import first_tensor

_NORMS = (nn.modules.batchnorm._BatchNorm,)


@CHECKS.add("nan")
def nan(e: Examination) -> Finding | None:
    """NaN or infinite values, and the layer where they first appear."""
    broken = next((one for one in e.states if not one.finite), None)
    if broken is None:
        return None
    # a container finishes after its parts; the first to finish is where it began
    where = f"layer '{broken.path}' ({broken.kind}) is the first to give NaN or infinite values"
    if not broken.finite_weights:
        return Finding("the weights are broken", f"{where}: its own weights are not finite", "-c an earlier checkpoint")
    if e.job.precision != "fp32":
        return Finding("the numbers overflow", f"{where}, at {e.job.precision}", e.command("--precision fp32"))
    return Finding("the model computes NaN", f"{where}, from finite inputs and weights", "mend that layer's forward")


@CHECKS.add("misfit")
def misfit(e: Examination) -> Finding | None:
    """A checkpoint of which a good part did not fit."""
    fitted, total = e.model.fitted or (0, 0)
    if fitted == total:
        return None
    return Finding(
        f"{total - fitted} of {total} tensors did not come from the checkpoint",
        e.model.notes[-1],
        f"camviz layers {e.model.name} shows what the model has; --model names the one it was saved from",
        "serious" if fitted < 0.9 * total else "warning",
    )


@CHECKS.add("untrained")
def untrained(e: Examination) -> Finding | None:
    """Weights that are still as initialized: all of them, or those of the classifier alone."""
    module = e.model.module
    if seen := untrained_weights(module):
        fix = e.command("--checkpoint FILE")
        if e.job.model.weights == "none" or e.job.model.spec == "demo":
            fix = e.command("--weights default") + ", or --checkpoint FILE"
        return Finding("the model is untrained", seen, fix)
    if seen := untrained_head(module):
        fix = "--checkpoint FILE of the model after its training"
        return Finding("the classifier's last layer is untrained", seen, fix)
    return None


@CHECKS.add("random")
def random(e: Examination) -> Finding | None:
    """Two forwards of the same images that differ."""
    first, second = (first_tensor(e.output(e.inputs)) for _ in range(2))
    if first is None or second is None or first.shape != second.shape:
        return None
    gap, size = float((first - second).abs().max()), float(first.abs().max())
    if gap <= 1e-4 * max(size, 1e-6):
        return None
    return Finding(
        "the same image gives another answer each time",
        f"two forwards differ by {gap:.3g}, outputs reach {size:.3g}: a dropout or noise that ignores eval()",
        "F.dropout(x, p, training=self.training) in the model's forward",
    )


@CHECKS.add("training")
def training(e: Examination) -> Finding | None:
    """A model that was handed over in training mode, or that normalizes by the batch it is in."""
    by_batch = [
        path for path, part in e.model.module.named_modules() if isinstance(part, _NORMS) and part.running_mean is None
    ]
    if by_batch:
        return Finding(
            "an image's answer depends on the batch it is in",
            f"{len(by_batch)} batch normalizations keep no statistics (first: '{by_batch[0]}')",
            "track_running_stats=True, or --batch-size 1 to be repeatable",
            "warning",
        )
    sensitive = [type(p).__name__ for p in e.model.module.modules() if isinstance(p, (*_NORMS, nn.Dropout))]
    if e.training and sensitive:
        return Finding(
            "the model is in training mode",
            f"{len(sensitive)} layers behave otherwise in training: {_first(sensitive)}; camviz maps it in eval mode",
            "model.eval()",
            "warning",
        )
    return None


@CHECKS.add("constant")
def constant(e: Examination) -> Finding | None:
    """The same answer whatever the image."""
    noise = torch.rand(e.inputs[:1].shape, generator=torch.Generator().manual_seed(0)).to(e.inputs)
    shown = torch.cat([e.inputs, (noise - 0.5) * 4])
    tensor = first_tensor(e.output(shown))
    if tensor is None or tensor.shape[:1] != shown.shape[:1]:
        return None
    change, size = float(tensor.float().std(0).max()), float(tensor.abs().max())
    if not torch.isfinite(tensor).all() or change > 1e-4 * max(size, 1e-6):
        return None
    return Finding(
        "every image gets the same answer",
        f"outputs of {len(shown)} images, one of them noise, differ by {change:.2g} at most",
        "another checkpoint; is a layer dead or an input multiplied by zero?",
    )


@CHECKS.add("frozen")
def frozen(e: Examination) -> Finding | None:
    """Frozen parameters, and in-place layers beside them: harmless here, the cause of blank maps elsewhere."""
    parameters = list(e.model.module.parameters())
    stopped = sum(not p.requires_grad for p in parameters)
    inplace = sum(bool(getattr(part, "inplace", False)) for part in e.model.module.modules())
    if not stopped:  # most models work in place somewhere: that alone is nothing to be told
        return None
    return Finding(
        "frozen parameters or in-place layers",
        f"{stopped} of {len(parameters)} parameters are frozen, {inplace} layers work in place; no harm to maps here",
        "",
        "note",
    )


def _first(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
