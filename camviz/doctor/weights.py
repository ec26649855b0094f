"""Checks of the weights: untrained, partly loaded, quantized to few values, statistics that do not fit."""

from __future__ import annotations

import torch
from torch import nn

from camviz.doctor import CHECKS, Finding
from camviz.doctor.alternatives import best_alternative, running_layers, statistics_gap
from camviz.doctor.examination import Examination, most_images
from camviz.doctor.inputs import images
from camviz.engine.untrained import as_initialized, fresh_norm, untrained_head, untrained_weights
from camviz.models.sources import untrained as asks_untrained
from camviz.models.typed import layers_command

_COARSE = 16  # distinct values of a weight tensor: 4 bits
_GAP = 0.4  # log(1 + KL divergence) of activations and BatchNorm statistics; of trained models 0.05 to 0.15
_FEW = 4  # images from which BatchNorm statistics can be judged


@CHECKS.add("misfit")
def misfit(e: Examination) -> Finding | None:
    """A checkpoint that matches a part of the model only."""
    fitted, total = e.model.fitted or (0, 0)
    if fitted == total:
        return None
    return Finding(
        f"{total - fitted} of {total} tensors did not come from the checkpoint",
        e.model.notes[-1],
        f"{layers_command(e.model)} lists the model's layers; choose the checkpoint's own model with --model",
        "serious" if fitted < 0.9 * total else "warning",
    )


@CHECKS.add("untrained")
def untrained(e: Examination) -> Finding | None:
    """Weights that are still as initialized: all of them, some layers, or the classifier alone."""
    module = e.model.module
    if seen := untrained_weights(module):
        fix = e.command("--checkpoint FILE")
        if asks_untrained(e.request.model) or e.request.model.spec == "demo":
            fix = e.command("--weights default") + ", or --checkpoint FILE"
        return Finding("the model is untrained", seen, fix)
    if seen := untrained_head(module):
        fix = "--checkpoint FILE of the model after its training"
        return Finding("the classifier's last layer is untrained", seen, fix)
    fresh = [path for path, layer in module.named_modules() if as_initialized(layer) or fresh_norm(layer)]
    if len(fresh) < 2:
        return None
    return Finding(
        "a part of the model is untrained",
        f"{len(fresh)} layers have weights or statistics as initialized (first: '{fresh[0]}'), the others do not",
        e.command("--checkpoint FILE") + " that holds all layers",
    )


@CHECKS.add("quantized")
def quantized(e: Examination) -> Finding | None:
    """Weights with a few distinct values, as after quantization to 1 to 4 bits."""
    layers = [layer.weight for layer in e.model.module.modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
    counts = [int(torch.unique(weight.detach()).numel()) for weight in layers if weight.numel() > 256]
    coarse = [count for count in counts if count <= _COARSE]
    if not coarse or 2 * len(coarse) <= len(counts) or max(coarse) == 1:
        return None
    bits = (max(coarse) - 1).bit_length()
    return Finding(
        f"the weights are quantized to {bits} bits",
        f"{len(coarse)} of {len(counts)} weight tensors have at most {max(coarse)} distinct values",
        e.command("--checkpoint FILE") + " with the weights before quantization",
    )


@CHECKS.add("statistics")
def statistics(e: Examination) -> Finding | None:
    """BatchNorm statistics that do not fit the model's activations: of other data, or of other weights."""
    if not any(running_layers(e.model.module)) or untrained_weights(e.model.module) or images(e):
        return None
    if not e.enough("statistics", _FEW):
        return None
    gaps = statistics_gap(e, e.inputs[: most_images(e.model)]).mean(0)
    typical = float(gaps.median())
    if not typical > _GAP or (e.logits is not None and best_alternative(e)):
        return None
    return Finding(
        "the BatchNorm statistics do not fit the model's activations",
        f"mean and variance of the activations differ from the running ones in most of {len(gaps)} layers "
        f"(median of log(1 + KL divergence): {typical:.2f})",
        e.command("--checkpoint FILE") + " with the statistics of the same training (not averaged or frozen ones)",
    )
