"""The CAM family: weighted sums of a layer's activations A (n, c, h, w), with gradients G = dS/dA."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from camviz.errors import ModelError, RequestError, UnknownName
from camviz.io.texts import as_index
from camviz.methods import METHODS
from camviz.tasks.classification import find_class

if TYPE_CHECKING:
    from torch import Tensor

    from camviz.engine.probe import Probe

_ROUNDING = 1e-4  # of the sum of absolute values: a smaller sum is rounding noise

_gradient = partial(METHODS.add, family="cam", needs="gradients", gives="channels", cost="1 backward")


@METHODS.add("cam", family="cam", paper="arXiv:1512.04150", needs="GAP head", gives="channels", cost="nothing")
def cam(probe: Probe) -> Tensor:
    """Channels weighted by the classifier: Σ_k W[c,k] A_k, for GAP followed by one linear layer or 1×1 convolution."""
    weights, activations = probe.linear_head
    return weights[:, :, None, None] * activations


@_gradient("gradcam", paper="arXiv:1610.02391")
def gradcam(probe: Probe) -> Tensor:
    """Channels weighted by their mean gradient: Σ_k mean_ij(G_k) A_k."""
    return probe.gradients.mean((2, 3), keepdim=True) * probe.activations


@_gradient("gradcam++", aliases=("gradcampp", "gradcamplusplus"), paper="arXiv:1710.11063")
def gradcam_plus_plus(probe: Probe) -> Tensor:
    """Channels weighted by weighted positive gradients: w = Σ_ij α·relu(G), α = G² / (2G² + ΣA·G³) (eq. 19)."""
    gradients = probe.gradients
    return _plus_plus(gradients, gradients**2, gradients**3, probe.activations)


def _plus_plus(first: Tensor, second: Tensor, third: Tensor, activations: Tensor) -> Tensor:
    below = 2 * second + activations.sum((2, 3), keepdim=True) * third
    alpha = second / below.where(below != 0, below + 1) * (below != 0)
    return (alpha * first.clamp(min=0)).sum((2, 3), keepdim=True) * activations


@_gradient(
    "smoothgradcam++",
    aliases=("smoothgradcampp", "smoothgradcamplusplus"),
    paper="arXiv:1908.01224",
    cost="`samples` forwards and backwards",
)
def smoothgradcam_plus_plus(probe: Probe, *, samples: int = 8, noise: float = 0.1) -> Tensor:
    """Grad-CAM++ with G, G² and G³ averaged over `samples` noisy inputs; `noise` is a share of the input's range."""
    powers = [0.0 * probe.activations for _ in range(3)]
    for inputs in probe.noisy(samples, noise):
        gradients = probe.again(inputs).gradients
        powers = [total + gradients ** (n + 1) / samples for n, total in enumerate(powers)]
    first, second, third = powers
    return _plus_plus(first, second, third, probe.activations)


@_gradient("xgradcam", paper="arXiv:2008.02312")
def xgradcam(probe: Probe) -> Tensor:
    """Channels weighted by their gradient averaged with the activation: w_k = Σ(G_k·A_k) / ΣA_k."""
    activations, gradients = probe.activations, probe.gradients
    mass = activations.sum((2, 3), keepdim=True)
    weights = (gradients * activations).sum((2, 3), keepdim=True) / (mass + 1e-7)
    return weights * activations


@_gradient("hirescam", paper="arXiv:2011.08891")
def hirescam(probe: Probe) -> Tensor:
    """Gradient times activation, element by element: Σ_k G_k ⊙ A_k."""
    contributions = probe.gradients * probe.activations
    sums, sizes = contributions.sum(1).abs().amax((1, 2)), contributions.abs().sum(1).amax((1, 2))
    for facts, total, size in zip(probe.facts, sums.tolist(), sizes.tolist(), strict=True):
        if 0 < total < _ROUNDING * size:  # before a LayerNorm the gradient is orthogonal to the activations
            facts["note"] = (
                f"gradient × activation cancels out at layer '{probe.layer.path}', which feeds a LayerNorm: the map is "
                "rounding noise; --method gradcam, or another --layer"
            )
    return contributions


@_gradient("gradcam-elementwise", aliases=("elementwise-gradcam",), paper="none: HiResCAM's positive part")
def gradcam_elementwise(probe: Probe) -> Tensor:
    """Only the positive evidence, element by element: Σ_k relu(G_k ⊙ A_k)."""
    return (probe.gradients * probe.activations).clamp(min=0)


@_gradient("layercam", paper="doi:10.1109/TIP.2021.3089943")
def layercam(probe: Probe) -> Tensor:
    """Activations weighted by positive gradients, element by element: Σ_k relu(G_k) ⊙ A_k."""
    return probe.gradients.clamp(min=0) * probe.activations


@_gradient("shapleycam", paper="arXiv:2501.06261", cost="2 backwards")
def shapleycam(probe: Probe) -> Tensor:
    """Grad-CAM with the second-order term of a Shapley value: w = mean_ij(G - ½ H·A), H the Hessian of S."""
    weights = (probe.gradients - probe.hessian_product / 2).mean((2, 3), keepdim=True)
    return weights * probe.activations


@_gradient("finercam", paper="arXiv:2501.11309", cost="1 backward of its own")
def finercam(probe: Probe, *, gamma: float = 0.6, references: str = "3") -> Tensor:
    """Grad-CAM of S_c - γ·mean_t S_t: what sets the class apart from its `references`.

    `references`: the number of classes with the closest scores, or classes by index or name joined by +: 5+7, cat+dog.
    """
    import torch

    scores = []
    for row, target in zip(probe.logits, probe.targets, strict=True):
        others = _references(probe, row.detach(), target.index, references)
        scores.append(target.read(row) - gamma * sum(row[other] for other in others) / len(others))
    gradients = probe.gradients_of(torch.stack(scores))
    return gradients.mean((2, 3), keepdim=True) * probe.activations


def _references(probe: Probe, row: Tensor, index: int | None, text: str) -> list[int]:
    """Return the indices of the reference classes for a target class `index`."""
    if index is None or len(row) < 2:
        raise ModelError("method 'finercam' needs a target class among several", "--method gradcam")
    parts = [part.strip() for part in str(text).split("+") if part.strip()]
    if len(parts) == 1 and as_index(parts[0]) is not None and "+" not in str(text):
        order = (row - row[index]).abs().argsort().tolist()
        named = [other for other in order if other != index][: int(parts[0])]
    else:
        named = [_class_named(probe, part) if (number := as_index(part)) is None else number for part in parts]
    if not named or min(named) < 0 or max(named) >= len(row) or set(named) == {index}:
        hint = "--set references=3, the number of closest classes, or other classes: references=5+7"
        raise RequestError(f"finercam.references '{text}' does not name other classes of the model", hint)
    return [other for other in named if other != index]


def _class_named(probe: Probe, name: str) -> int:
    """Return the index of a class name, -1 if the model has none of that name."""
    model = probe.reading.passed.ask.model
    try:
        return find_class(name, model.labels, model.name)
    except UnknownName:
        return -1


@METHODS.add(
    "refinecam", family="cam", paper="arXiv:2605.14641", needs="gradients", cost="1 backward through all stages",
    layer="stages",
)  # fmt: skip
def refinecam(probe: Probe) -> Tensor:
    """Product of the Grad-CAM maps of all resolutions up to this layer, each scaled to [0, 1]."""
    from torch.nn import functional as F

    maps = [gradcam(stage).sum(1).clamp(min=0) for stage in probe.stages]
    finest = max((stage_map.shape[1:] for stage_map in maps), key=lambda shape: shape[0] * shape[1])
    product = maps[0].new_ones(len(maps[0]), *finest)
    for stage_map in maps:
        wide = F.interpolate(stage_map[:, None], size=finest, mode="bilinear", align_corners=False)[:, 0]
        top = wide.amax((1, 2), keepdim=True)
        product = product * wide / top.where(top > 0, top + 1)
    return product


@METHODS.add("random", family="cam", paper="none: baseline of every metric", needs="activations", cost="nothing")
def random(probe: Probe) -> Tensor:
    """Uniform noise of the layer's size, seeded by the job and the image: the baseline of every metric."""
    import torch

    size = probe.activations.shape[2:]
    drawn = [torch.rand(size, generator=generator) for generator in probe.generators("random")]
    return torch.stack(drawn).to(probe.inputs.device)
