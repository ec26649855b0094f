"""A model whose gradients are known by hand: weighted means of its first convolution."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import camviz
from camviz.types import View
from tests.helpers.inputs import random_images

WHOLE = View((32, 32), (0, 0, 32, 32), (32, 32))


class Means(nn.Module):
    """Gives weighted means of its first convolution's maps, so every gradient is known: W[o, k] / positions."""

    def __init__(self, weights: list[list[float]], flat: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 8, stride=8, bias=False)
        self.weights = nn.Parameter(torch.tensor(weights))
        self.flat = flat

    def forward(self, x):
        out = self.conv(x).mean((2, 3)) @ self.weights.T
        return out[:, 0] if self.flat else out


def gradcam_by_hand(module: Means, index: int) -> np.ndarray:
    [found] = random_images(1)
    x = torch.from_numpy(np.asarray(found).astype(np.float32) / 255).permute(2, 0, 1)[None]
    maps = module.conv(x).detach()
    return (module.weights[index][:, None, None] * maps[0]).sum(0).detach().numpy() / maps[0, 0].numel()


def loaded(module: nn.Module, **more):
    return camviz.load(module, input_size=(32, 32), mean=(0.0,) * 3, std=(1.0,) * 3, **more)
