"""Recognize weights that are still as they were initialized."""

from __future__ import annotations

from torch import Tensor, nn

_NORMS = (nn.modules.batchnorm._BatchNorm,)
_LAYERS = (nn.Linear, nn.Conv2d, nn.Conv3d)
_AFFINE = (nn.LayerNorm, nn.GroupNorm)


def untrained_weights(module: nn.Module) -> str:
    """Return the evidence that a module was never trained, "" if there is none.

    The evidence is, in this order: BatchNorm layers with mean 0 and variance 1; other normalization layers with weight
    1 and bias 0; layers whose weights are distributed as PyTorch initializes them; biases that are all exactly 0.
    """
    layers = [layer for layer in module.modules() if not list(layer.children())]
    batch_norms = [layer for layer in layers if isinstance(layer, _NORMS) and layer.track_running_stats]
    fresh = [layer for layer in batch_norms if fresh_norm(layer)]
    if batch_norms:
        seen = f"{len(fresh)} of {len(batch_norms)} BatchNorm layers have mean 0 and variance 1, as before any training"
        return seen if len(fresh) >= 0.9 * len(batch_norms) else ""
    affine = [layer for layer in layers if isinstance(layer, _AFFINE) and layer.weight is not None]
    if affine:
        same = [layer for layer in affine if _is(layer.weight, 1) and (layer.bias is None or _is(layer.bias, 0))]
        seen = f"{len(same)} of {len(affine)} normalization layers have weight 1 and bias 0"
        return seen if len(same) >= len(affine) / 2 else ""
    weighted = [layer for layer in layers if _weighted(layer)]
    initial = [layer for layer in weighted if as_initialized(layer)]
    if weighted and len(initial) > len(weighted) / 2:
        return f"the weights of {len(initial)} of {len(weighted)} layers are distributed as PyTorch initializes them"
    biases = [layer.bias for layer in weighted if isinstance(layer.bias, Tensor)]
    if len(biases) > 1 and all(_is(bias, 0) for bias in biases):
        return f"the biases of all {len(biases)} layers are exactly 0"
    return ""


def untrained_head(module: nn.Module) -> str:
    """Return the evidence that the last linear layer alone was never trained, "" if there is none."""
    linear = [(path, layer) for path, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    if not linear or not as_initialized(linear[-1][1]):
        return ""
    path, head = linear[-1]
    size = f"{head.in_features} to {head.out_features}"
    return f"the weights of '{path}' ({size}) are distributed as PyTorch initializes them, those before it are not"


def as_initialized(layer: nn.Module) -> bool:
    """Return whether weight and bias are uniform within 1/√fan-in, as `nn.Linear` and `nn.Conv2d` initialize them.

    A uniform distribution reaches its bound and has a standard deviation of bound / √3; training changes both.
    """
    if not isinstance(layer, _LAYERS) or not _weighted(layer):
        return False
    weight = layer.weight.detach().float()
    bound = weight[0].numel() ** -0.5
    least = 1 - 20 / weight.numel()
    reach, spread = float(weight.abs().max()) / bound, float(weight.std()) * 3**0.5 / bound
    bias = None if layer.bias is None else layer.bias.detach()
    uniform = bias is None or (float(bias.abs().max()) <= bound and bool(bias.any()))
    return least <= reach <= 1 + 1e-5 and abs(spread - 1) < 4 / weight.numel() ** 0.5 and uniform


def fresh_norm(layer: nn.Module) -> bool:
    """Return whether a BatchNorm layer has mean 0 and variance 1, as before any training."""
    return isinstance(layer, _NORMS) and _is(layer.running_mean, 0) and _is(layer.running_var, 1)


def _weighted(layer: nn.Module) -> bool:
    return isinstance(layer, _LAYERS) and layer.weight.numel() > 64


def _is(tensor: Tensor | None, value: float) -> bool:
    return tensor is not None and bool((tensor == value).all())
