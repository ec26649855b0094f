"""The CAM family: weighted sums of a layer's activations A (n, c, h, w), with gradients G = dS/dA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camviz.methods import METHODS

if TYPE_CHECKING:
    from torch import Tensor

    from camviz.engine.probe import Probe


@METHODS.add("cam", family="cam", paper="arXiv:1512.04150", needs="GAP head", cost="1 forward")
def cam(probe: Probe) -> Tensor:
    """Channels weighted by the classifier's own weights: Σ_k W[c,k] A_k, for GAP followed by one linear layer."""
    weights, activations = probe.linear_head
    return (weights[:, :, None, None] * activations).sum(1)


@METHODS.add("gradcam", family="cam", paper="arXiv:1610.02391", needs="gradients", cost="1 forward + 1 backward")
def gradcam(probe: Probe) -> Tensor:
    """Channels weighted by their mean gradient: Σ_k mean_ij(G_k) A_k."""
    activations, gradients = probe.activations, probe.gradients
    return (gradients.mean((2, 3), keepdim=True) * activations).sum(1)


@METHODS.add("hirescam", family="cam", paper="arXiv:2011.08891", needs="gradients", cost="1 forward + 1 backward")
def hirescam(probe: Probe) -> Tensor:
    """Gradient times activation, place by place: Σ_k G_k ⊙ A_k."""
    return (probe.gradients * probe.activations).sum(1)


@METHODS.add(
    "layercam", family="cam", paper="doi:10.1109/TIP.2021.3089943", needs="gradients", cost="1 forward + 1 backward"
)
def layercam(probe: Probe) -> Tensor:
    """Activations weighted by positive gradients, place by place: Σ_k relu(G_k) ⊙ A_k."""
    return (probe.gradients.clamp(min=0) * probe.activations).sum(1)
