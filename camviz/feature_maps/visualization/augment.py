"""Random affine transforms of the view during optimization, which suppress patterns of single pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Moves:
    """Ranges of the transform: `jitter` as a fraction of the side, `zoom` as a factor, `turn` in degrees."""

    jitter: float = 0.06
    zoom: float = 1.15
    turn: float = 10.0

    def draw(self, generator: torch.Generator, share: float = 1.0) -> Tensor:
        """Sample an affine matrix (2, 3) from view to image coordinates, both in [−1, 1]; `share` scales the ranges."""
        across, down, size, angle = (share * (2 * torch.rand(4, generator=generator) - 1)).tolist()
        return affine(2 * self.jitter * across, 2 * self.jitter * down, self.zoom**size, self.turn * angle)


def affine(across: float = 0.0, down: float = 0.0, zoom: float = 1.0, turn: float = 0.0) -> Tensor:
    """Return the matrix (2, 3) that shifts by half sides, zooms out by a factor and rotates by degrees."""
    cosine, sine = zoom * math.cos(math.radians(turn)), zoom * math.sin(math.radians(turn))
    return torch.tensor([[cosine, -sine, across], [sine, cosine, down]])


def view(images: Tensor, moved: Tensor) -> Tensor:
    """Resample images (n, c, H, W) through an affine matrix (2, 3), with reflection beyond the edges."""
    height, width = images.shape[2:]
    to_square = torch.tensor([[1.0, height / width], [width / height, 1.0]])  # rotations keep their angle
    moved = torch.cat([moved[:, :2] * to_square, moved[:, 2:]], 1)
    theta = moved.to(images).expand(len(images), 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
