"""Small classifiers, trained or sick, and images for the checks of the doctor."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import camviz
from camviz.demo import sample_folder
from camviz.doctor import Diagnosis, diagnose
from camviz.types import Model

SAMPLES = sorted(sample_folder().glob("*.jpg"))[:4]


class Small(nn.Module):
    """A classifier whose weights look trained: small noise around a pattern, uneven biases."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=4, padding=1)
        self.fc = nn.Linear(8, classes)
        rng = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=rng))

    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).mean((2, 3)))


def small(module: nn.Module, **more) -> Model:
    return camviz.load(module.eval(), input_size=(64, 64), mean=(0.5,) * 3, std=(0.5,) * 3, **more)


def names(found: Diagnosis) -> list[str]:
    return [finding.name for finding in found.findings if finding.grade != "note"]


def examine(module: nn.Module, **asked) -> Diagnosis:
    return diagnose(small(module), SAMPLES, **asked)


class Colors(nn.Module):
    """Sure of class 0 when it sees reddish images whose darkness is that of ImageNet's normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[:, :, None, None])

    def forward(self, x):
        red, green, blue = self.conv(x).mean((2, 3)).unbind(1)
        sure = 4 * (red - blue).clamp(min=0) * torch.exp(-4 * green**2)
        return torch.stack([sure, torch.zeros_like(sure)], 1)


RAMP = np.linspace(-20, 20, 64)[:, None, None]  # flat images would be a finding of their own


def shade(level: int) -> np.ndarray:
    """A gray image of almost one level: the mean is right, and it has a gradient."""
    return np.uint8(np.clip(level + RAMP / 4 + np.zeros((64, 64, 3)), 0, 255))


REDDISH = [np.uint8(np.array([200, 116, 30 + 5 * i]) + RAMP + np.zeros((64, 64, 3))) for i in range(8)]


class Sure(nn.Module):
    """Reads the class off the brightness, a tenth of white for each, and is sure of it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 8, 8)
        nn.init.normal_(self.conv.weight)  # not as PyTorch makes it
        self.register_buffer("levels", torch.arange(10) / 10)

    def forward(self, x):
        return -2000 * (x.mean((1, 2, 3))[:, None] - self.levels) ** 2 + 0 * self.conv(x).mean()


def photos(count: int = 8) -> list[np.ndarray]:
    """Smooth images of random colors."""
    rng = np.random.default_rng(0)
    waves = [np.sin(np.linspace(0, rng.uniform(2, 9), 64)) for _ in range(2 * count)]
    return [
        np.uint8(128 + 60 * waves[2 * i][:, None, None] * waves[2 * i + 1][None, :, None] * rng.uniform(0.5, 1, 3))
        for i in range(count)
    ]
