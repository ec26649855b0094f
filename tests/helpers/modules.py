"""Small models whose insides are known, for tests."""

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


class Transformer(nn.Module):
    """Patches of 8, `prefix` tokens, two blocks of fused attention; the head reads the prefix tokens `read`.

    Without any, or with `mean`, it reads the patches' mean; with `pool` what a query of its own gathers from them.
    """

    def __init__(
        self,
        prefix: int = 1,
        read: tuple[int, ...] = (0,),
        mean: bool = False,
        pool: bool = False,
        grid: tuple[int, int] = (4, 4),
        depth: int = 2,
        fused: bool = True,
    ) -> None:
        super().__init__()
        self.read, self.mean = read, mean or not (read or pool)
        self.patch_embed = nn.Conv2d(3, 12, 8, stride=8)
        self.prefix = nn.Parameter(torch.randn(1, prefix, 12))
        self.position = nn.Parameter(torch.randn(1, grid[0] * grid[1], 12))
        self.blocks = nn.Sequential(*(Block(fused) for _ in range(depth)))
        self.norm = nn.LayerNorm(12)
        self.pool = nn.MultiheadAttention(12, 2, batch_first=True) if pool else None
        self.query = nn.Parameter(torch.randn(1, 1, 12))
        self.head = nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2) + self.position
        x = torch.cat([self.prefix.expand(len(x), -1, -1), x], 1)
        x = self.norm(self.blocks(x))
        if self.pool:
            return self.head(self.pool(self.query.expand(len(x), -1, -1), x, x, need_weights=False)[0][:, 0])
        parts = [x[:, token] for token in self.read]
        parts += [x[:, self.prefix.shape[1] :].mean(1)] if self.mean else []
        return self.head(torch.stack(parts).mean(0))


class Block(nn.Module):
    """Attention and a small MLP, each with a norm before it and a way around it."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(12)
        self.attn = Attention(fused)
        self.norm2 = nn.LayerNorm(12)
        self.mlp = nn.Sequential(nn.Linear(12, 24), nn.GELU(), nn.Linear(24, 12))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Attention(nn.Module):
    """Self-attention with two heads, fused or written out."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.fused = fused
        self.qkv = nn.Linear(12, 36)
        self.proj = nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, _ = x.shape
        q, k, v = self.qkv(3 * x).reshape(n, tokens, 3, 2, 6).permute(2, 0, 3, 1, 4)
        if self.fused:
            mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        else:
            mixed = (q @ k.transpose(-2, -1) / 6**0.5).softmax(-1) @ v
        return self.proj(mixed.transpose(1, 2).reshape(n, tokens, 12))


def vit() -> nn.Module:
    """torchvision's VisionTransformer, tiny: 16 patches, a class token, two blocks; its head is not zero."""
    from torchvision.models import VisionTransformer

    module = VisionTransformer(SIZE, 8, 2, 2, 12, 24, num_classes=CLASSES)
    nn.init.normal_(module.heads.head.weight)
    return module


MODELS = {
    "plain": Plain,
    "inplace": lambda: Plain(inplace=True),
    "residual": Residual,
    "smooth": Smooth,
    "channels-last": ChannelsLast,
    "vit": vit,
    "registers": lambda: Transformer(prefix=4, read=(0, 1)),
}


def make(name: str, seed: int = 0) -> nn.Module:
    """The model called `name`, with the same weights every time, in evaluation mode."""
    torch.manual_seed(seed)
    return MODELS[name]().eval()
