"""Fourier parameterization of images in decorrelated colors, for optimization.

Olah et al., "Feature Visualization", Distill 2017: in this basis steps of equal size in every coordinate follow the
statistics of natural images: low frequencies before high ones, luminance before hue.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SOFT = 0.1  # relative width of the transition of the low-pass filter, from 0.73 to 0.27
_EDGE = 0.02  # minimum distance of pixels from black and white, where the sigmoid is flat


def radii(height: int, width: int) -> Tensor:
    """Return the frequency of every coefficient of `rfft2` in cycles per pixel: (height, width // 2 + 1)."""
    down, across = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
    return torch.hypot(down[:, None], across[None])


def falloff(height: int, width: int) -> Tensor:
    """Return the 1/f scale, clamped at the lowest frequency; scaled white noise has about unit variance per pixel."""
    scale = 1 / radii(height, width).clamp(min=1 / max(height, width))
    multiplicity = torch.full((width // 2 + 1,), 2.0)  # columns that represent two of the full spectrum
    multiplicity[0] = 1
    if width % 2 == 0:
        multiplicity[-1] = 1
    variance = (scale.square() * multiplicity).sum() / (height * width)
    return scale / variance.sqrt()


def color_basis(channels: int) -> Tensor:
    """Return the decorrelated colors as columns (channels, channels), each half as strong as the previous one.

    The principal axes of bands whose correlation falls with their distance are close to cosines: for red, green and
    blue these are luminance, red − blue, and green − (red + blue). Photographs fall off faster, drawings slower.
    """
    index = torch.arange(channels, dtype=torch.float32)
    cosines = torch.cos(torch.pi / channels * (index[:, None] + 0.5) * index[None])
    basis = cosines / cosines.norm(dim=0) * 0.5**index
    size: Tensor = basis.square().sum(1).mean().sqrt()
    return torch.div(basis, size)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Convert between images (n, c, H, W) in [0, 1] and coefficients (n, c, H, W // 2 + 1, 2), real and imaginary."""

    scale: Tensor
    basis: Tensor
    width: int

    @classmethod
    def of(cls, channels: int, height: int, width: int, device: torch.device | str = "cpu") -> Spectrum:
        """Return the spectrum for images of that size; computed on the CPU for equal numbers on every device."""
        return cls(falloff(height, width).to(device), color_basis(channels).to(device), width)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the coefficients of one image."""
        return (self.basis.shape[0], *self.scale.shape, 2)

    def noise(self, count: int, generator: torch.Generator, contrast: float = 1.0) -> Tensor:
        """Sample coefficients of noise images with a 1/f spectrum and the color statistics of natural images."""
        drawn = torch.randn((count, *self.shape), generator=generator) * 0.5**0.5
        return torch.mul(drawn, contrast).to(self.scale.device)

    def below(self, cut: float, coefficients: Tensor) -> Tensor:
        """Low-pass filter the coefficients at `cut` cycles per pixel (gain 0.5 there)."""
        frequencies = radii(self.scale.shape[0], self.width)
        kept = torch.sigmoid((cut - frequencies) / (_SOFT * cut)).to(self.scale.device)
        return coefficients * kept[..., None]

    def paint(self, coefficients: Tensor) -> Tensor:
        """Return the images (n, c, H, W) of coefficients, with values in [0, 1]."""
        spectra = torch.view_as_complex(coefficients) * self.scale
        planes = torch.fft.irfft2(spectra, s=(self.scale.shape[0], self.width), norm="ortho")
        return torch.einsum("rc,nchw->nrhw", self.basis, planes).sigmoid()

    def analyze(self, images: Tensor) -> Tensor:
        """Return the coefficients of images: the inverse of `paint`, except very near black and white."""
        levels = images.clamp(_EDGE, 1 - _EDGE).logit()
        planes = torch.einsum("cr,nrhw->nchw", torch.linalg.inv(self.basis), levels)
        return torch.view_as_real(torch.fft.rfft2(planes, norm="ortho") / self.scale)


def total_variation(images: Tensor) -> Tensor:
    """Return the total variation (n,): the mean over pixels of squared differences to the right and down.

    Equation 3 of arXiv:1412.0035 with β = 2. For [[0, 1], [1, 3]] it is (1 + 1 + 4 + 4) / 4 = 2.5.
    """
    down = (images[:, :, 1:] - images[:, :, :-1]).square().flatten(1).sum(1)
    across = (images[..., 1:] - images[..., :-1]).square().flatten(1).sum(1)
    return (down + across) / images[0].numel()
