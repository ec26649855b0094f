"""Images written as scaled spectra in decorrelated colors: what optimization of an image moves.

Olah et al., "Feature Visualization", Distill 2017: in this basis a step of equal size in every coordinate is one
that images of the world could take: slow waves before fast ones, light before hue.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SOFT = 0.1  # of a cut: the width over which it goes from 0.73 to 0.27
_EDGE = 0.02  # a pixel starts at least so far from black and white, where the sigmoid is flat


def radii(height: int, width: int) -> Tensor:
    """The frequency of every coefficient of `rfft2`, in cycles per pixel: (height, width // 2 + 1)."""
    down, across = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
    return torch.hypot(down[:, None], across[None])


def falloff(height: int, width: int) -> Tensor:
    """1/f, at the lowest frequency for the mean too; white noise under it has about unit variance per pixel."""
    scale = 1 / radii(height, width).clamp(min=1 / max(height, width))
    twins = torch.full((width // 2 + 1,), 2.0)  # columns that stand for two of the full spectrum
    twins[0] = 1
    if width % 2 == 0:
        twins[-1] = 1
    variance = (scale.square() * twins).sum() / (height * width)
    return scale / variance.sqrt()


def color_basis(channels: int) -> Tensor:
    """(channels, channels): a column per decorrelated color, each half as strong as the one before.

    Bands that are the more alike the nearer they lie have (nearly) the cosines as principal axes: for red, green
    and blue these are light, red against blue, and green against both. Photographs fall off faster, drawings slower.
    """
    place = torch.arange(channels, dtype=torch.float32)
    cosines = torch.cos(torch.pi / channels * (place[:, None] + 0.5) * place[None])
    basis = cosines / cosines.norm(dim=0) * 0.5**place
    size: Tensor = basis.square().sum(1).mean().sqrt()
    return torch.div(basis, size)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Where images (n, c, H, W) in 0…1 live: coefficients (n, c, H, W // 2 + 1, 2), real and imaginary part."""

    scale: Tensor
    basis: Tensor
    width: int

    @classmethod
    def of(cls, channels: int, height: int, width: int, device: torch.device | str = "cpu") -> Spectrum:
        """For images of that size; made on the CPU, so that every device starts from the same numbers."""
        return cls(falloff(height, width).to(device), color_basis(channels).to(device), width)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image's coefficients."""
        return (self.basis.shape[0], *self.scale.shape, 2)

    def noise(self, count: int, generator: torch.Generator, contrast: float = 1.0) -> Tensor:
        """Coefficients of images without content: the 1/f fall and the colors of ordinary ones, nothing else."""
        drawn = torch.randn((count, *self.shape), generator=generator) * 0.5**0.5
        return torch.mul(drawn, contrast).to(self.scale.device)

    def below(self, cut: float, coefficients: Tensor) -> Tensor:
        """The coefficients with only the waves up to about `cut` cycles per pixel: half of those right at it."""
        frequencies = radii(self.scale.shape[0], self.width)
        kept = torch.sigmoid((cut - frequencies) / (_SOFT * cut)).to(self.scale.device)
        return coefficients * kept[..., None]

    def paint(self, coefficients: Tensor) -> Tensor:
        """Coefficients as images (n, c, H, W), every value inside 0…1."""
        spectra = torch.view_as_complex(coefficients) * self.scale
        planes = torch.fft.irfft2(spectra, s=(self.scale.shape[0], self.width), norm="ortho")
        return torch.einsum("rc,nchw->nrhw", self.basis, planes).sigmoid()

    def analyze(self, images: Tensor) -> Tensor:
        """The inverse of `paint`, for values not too near black and white."""
        levels = images.clamp(_EDGE, 1 - _EDGE).logit()
        planes = torch.einsum("cr,nrhw->nchw", torch.linalg.inv(self.basis), levels)
        return torch.view_as_real(torch.fft.rfft2(planes, norm="ortho") / self.scale)


def total_variation(images: Tensor) -> Tensor:
    """(n,): the mean over pixels of the squared steps to the right and down; arXiv:1412.0035 with its β = 2.

    The last row and column have no step of their own. For [[0, 1], [1, 3]] it is (1 + 1 + 4 + 4) / 4 = 2.5.
    """
    down = (images[:, :, 1:] - images[:, :, :-1]).square().flatten(1).sum(1)
    across = (images[..., 1:] - images[..., :-1]).square().flatten(1).sum(1)
    return (down + across) / images[0].numel()
