"""The pixel family: maps of the input's own size, from gradients with respect to the input. Not tied to a layer.

`reduce` reduces the color channels: "max" of absolute values, "sum" (signed), or "norm".
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from camviz.errors import RequestError
from camviz.methods import METHODS

if TYPE_CHECKING:
    from torch import Tensor

    from camviz.engine.probe import Probe

_pixel = partial(METHODS.add, family="pixels", needs="input gradients", layer="none")
_once = partial(_pixel, cost="1 forward and 1 backward to the input")


def reduced(values: Tensor, how: str) -> Tensor:
    """(n, channels, H, W) to (n, H, W)."""
    if how == "max":
        return values.abs().amax(1)
    if how == "sum":
        return values.sum(1)
    if how == "norm":
        return values.square().sum(1).sqrt()
    raise RequestError(f"no reduce '{how}'", "--set reduce=max, reduce=sum or reduce=norm")


@_once("gradient", aliases=("vanilla-gradient", "vanilla-gradients", "saliency"), paper="arXiv:1312.6034")
def gradient(probe: Probe, *, reduce: str = "max") -> Tensor:
    """Absolute gradient of the score with respect to each pixel, |dS/dx|, maximum over channels."""
    return reduced(probe.input_gradients(), reduce)


@_once(
    "gradient-x-input", aliases=("input-x-gradient", "gradient-input", "gradient-times-input"), paper="arXiv:1605.01713"
)
def gradient_x_input(probe: Probe, *, reduce: str = "sum") -> Tensor:
    """Gradient times the normalized input, summed over channels; signed."""
    return reduced(probe.input_gradients() * probe.inputs, reduce)


@_pixel("smoothgrad", paper="arXiv:1706.03825", cost="`samples` forwards and backwards")
def smoothgrad(probe: Probe, *, samples: int = 25, noise: float = 0.15, reduce: str = "max") -> Tensor:
    """The gradient averaged over noisy inputs; `noise` is a fraction of the input's range."""
    total = 0 * probe.inputs
    for inputs in probe.noisy(samples, noise):
        total = total + probe.input_gradients(inputs)
    return reduced(total / samples, reduce)


@_pixel("vargrad", paper="arXiv:1810.03292", cost="`samples` forwards and backwards")
def vargrad(probe: Probe, *, samples: int = 25, noise: float = 0.15, reduce: str = "sum") -> Tensor:
    """The variance of the gradient over noisy inputs, summed over channels."""
    mean, square = 0 * probe.inputs, 0 * probe.inputs
    for count, inputs in enumerate(probe.noisy(samples, noise), start=1):
        grads = probe.input_gradients(inputs)
        step = grads - mean
        mean = mean + step / count
        square = square + step * (grads - mean)  # Welford: no difference of large numbers
    return reduced(square / samples, reduce)


@_pixel(
    "integrated-gradients",
    aliases=("ig", "intgrad", "integrated-gradient"),
    paper="arXiv:1703.01365",
    cost="`steps` forwards and backwards",
)
def integrated_gradients(probe: Probe, *, steps: int = 32, baseline: str = "black", reduce: str = "sum") -> Tensor:
    """(x - b) ⊙ mean gradient on the line from the baseline b to x (Gauss-Legendre); b is black, mean or white.

    Reports `completeness_gap`: the relative difference between the map's sum and S(x) - S(b).
    """
    import numpy as np

    levels = {"black": 0.0, "white": 1.0}
    if baseline not in ("mean", *levels):
        raise RequestError(f"no baseline '{baseline}'", "--set baseline=black, baseline=mean or baseline=white")
    start = 0 * probe.inputs if baseline == "mean" else probe.gray(levels.get(baseline, 0)).expand_as(probe.inputs)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    total = 0 * probe.inputs
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        total = total + float(weight) * probe.input_gradients(start + float(node) * (probe.inputs - start))
    values = total * (probe.inputs - start)
    for image in range(len(values)):
        base = start[image : image + 1]
        rise = float(probe.scores[image] - probe.score_inputs(image, 1, lambda *_, base=base: base)[0])
        gap = float(values[image].sum()) - rise
        probe.facts[image]["completeness_gap"] = round(abs(gap) / max(abs(rise), 1e-12), 6)
    return reduced(values, reduce)


@_once("guided-backprop", aliases=("gbp", "guided-backpropagation"), paper="arXiv:1412.6806")
def guided_backprop(probe: Probe, *, reduce: str = "max") -> Tensor:
    """The gradient, passed through ReLUs only where both it and the forward activation are positive."""
    from camviz.hooks.relu_rules import guided

    return reduced(probe.input_gradients(rule=guided), reduce)


@_once("deconvnet", aliases=("deconv", "deconvolution"), paper="arXiv:1311.2901")
def deconvnet(probe: Probe, *, reduce: str = "max") -> Tensor:
    """The gradient, passed through ReLUs only where it is positive."""
    from camviz.hooks import relu_rules

    return reduced(probe.input_gradients(rule=relu_rules.deconvnet), reduce)


@METHODS.add(
    "guided-gradcam", family="pixels", paper="arXiv:1610.02391", needs="gradients, input gradients",
    cost="1 forward and 2 backwards",
)  # fmt: skip
def guided_gradcam(probe: Probe, *, reduce: str = "max") -> Tensor:
    """Guided backpropagation where Grad-CAM is positive: U(relu(Grad-CAM)) ⊙ guided backprop."""
    from camviz.hooks.relu_rules import guided
    from camviz.methods.cam import gradcam

    where = probe.upsample(gradcam(probe).sum(1, keepdim=True).clamp(min=0))
    return reduced(where * probe.input_gradients(rule=guided), reduce)


@_once("fullgrad", aliases=("full-gradient",), paper="arXiv:1905.00780", drawn="overlay")
def fullgrad(probe: Probe) -> Tensor:
    """ψ(x ⊙ dS/dx) + Σ_layers Σ_k ψ(b_k ⊙ g_k): input and biases, ψ scales |·| of a whole layer to [0, 1] once."""
    at_input, at_biases = probe.bias_gradients()
    total = _psi(at_input * probe.inputs).sum(1)
    for values in at_biases:
        total = total + probe.upsample(_psi(values).sum(1, keepdim=True))[:, 0]
    return total


def _psi(values: Tensor) -> Tensor:
    """Return |·| of (n, c, h, w), scaled to [0, 1] over each image's whole layer."""
    size = values.abs()
    low, high = size.amin((1, 2, 3), keepdim=True), size.amax((1, 2, 3), keepdim=True)
    return (size - low) / (high - low).clamp(min=1e-12)
