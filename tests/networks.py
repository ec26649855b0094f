"""Small networks whose insides are known, for tests."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIZE = 32
CLASSES = 4


class Plain(nn.Module):
    """Convolutions, global average pooling, one linear layer: CAM is exact on it."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace),
            nn.Conv2d(6, 8, 3, stride=2, padding=1),
            nn.ReLU(inplace),
        )
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).mean((2, 3)))


class Residual(nn.Module):
    """A residual block with in-place ReLUs, a functional in-place one behind it, and a two-layer head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=4, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.block = nn.Conv2d(8, 8, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace=True), nn.Linear(8, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        x = torch.relu_(x + self.block(x))
        return self.head(self.pool(x).flatten(1))


class Smooth(nn.Module):
    """No ReLU anywhere, and a head that is not linear in the features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 5, stride=4, padding=2)
        self.act = nn.SiLU()
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(6 * 64, 8), nn.Tanh(), nn.Linear(8, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.conv(x)))


class ChannelsLast(nn.Module):
    """A stage whose output is (n, h, w, c), as Swin's is."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 6, 4, stride=4)
        self.norm = nn.LayerNorm(6)
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.embed(x).permute(0, 2, 3, 1))
        return self.fc(x.mean((1, 2)))


def vit() -> nn.Module:
    """torchvision's VisionTransformer, tiny: 16 patches, a class token, two blocks; its head is not zero."""
    from torchvision.models import VisionTransformer

    network = VisionTransformer(SIZE, 8, 2, 2, 12, 24, num_classes=CLASSES)
    nn.init.normal_(network.heads.head.weight)
    return network


NETWORKS = {
    "plain": Plain,
    "inplace": lambda: Plain(inplace=True),
    "residual": Residual,
    "smooth": Smooth,
    "channels-last": ChannelsLast,
    "vit": vit,
}


def make(name: str, seed: int = 0) -> nn.Module:
    """The network called `name`, with the same weights every time, in evaluation mode."""
    torch.manual_seed(seed)
    return NETWORKS[name]().eval()
