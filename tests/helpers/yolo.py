"""A small one-stage detector with a head on three levels, hand-written in the manner of YOLO, for tests."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CLASSES = ("cat", "dog", "bird")
STRIDES = (8, 16, 32)


def conv(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1), nn.SiLU())


class Head(nn.Module):
    """Two branches per level, box sides and class scores; `form` is how the candidates are returned."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.sides = nn.ModuleList(nn.Sequential(conv(8, 8), nn.Conv2d(8, 4, 1)) for _ in STRIDES)
        self.scores = nn.ModuleList(nn.Sequential(conv(8, 8), nn.Conv2d(8, len(CLASSES), 1)) for _ in STRIDES)

    def forward(self, levels: list[Tensor]) -> object:
        parts = []
        for level, sides, scores, stride in zip(levels, self.sides, self.scores, STRIDES, strict=True):
            height, width = level.shape[2:]
            y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            cells = (torch.stack([x, y])[None].to(level) + 0.5) * stride
            raw = sides(level)
            boxes = torch.cat([cells + raw[:, :2].tanh() * stride / 2, (raw[:, 2:].tanh() + 1.5) * stride], 1)
            parts.append(torch.cat([boxes, scores(level).sigmoid()], 1).flatten(2))
        rows = torch.cat(parts, 2)
        return shaped(rows, self.form)


def shaped(rows: Tensor, form: str) -> object:
    """Return candidates (n, 4 + k, anchors) as a library would."""
    if form == "v8":
        return rows
    if form == "v5":
        return torch.cat([rows[:, :4], torch.ones_like(rows[:, :1]), rows[:, 4:]], 1).mT
    if form == "v5 with levels":
        return shaped(rows, "v5"), [rows[:, None, None], rows[:, None, None]]
    if form == "one2one":
        return {"one2many": rows * 1, "one2one": rows}
    scores, labels = rows[:, 4:].max(1)
    best = scores.topk(20).indices
    middle, half = rows[:, :2].mT, rows[:, 2:4].mT / 2
    final = torch.cat([middle - half, middle + half, scores[..., None], labels[..., None].float()], 2)
    return final.gather(1, best[..., None].expand(-1, -1, 6))


class Yolo(nn.Module):
    """Five strides down, a path up and a path down again, and the head on strides 8, 16 and 32."""

    def __init__(self, form: str = "v8") -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 8, 2), conv(8, 8, 2), conv(8, 8, 2))
        self.down4, self.down5 = conv(8, 8, 2), conv(8, 8, 2)
        self.up = nn.Upsample(scale_factor=2)
        self.up4, self.out3 = conv(16, 8), conv(16, 8)
        self.again4, self.again5 = conv(8, 8, 2), conv(8, 8, 2)
        self.out4, self.out5 = conv(16, 8), conv(16, 8)
        self.head = Head(form)

    def forward(self, x: Tensor) -> object:
        third = self.stem(x)
        fourth = self.down4(third)
        fifth = self.down5(fourth)
        up4 = self.up4(torch.cat([self.up(fifth), fourth], 1))
        out3 = self.out3(torch.cat([self.up(up4), third], 1))
        out4 = self.out4(torch.cat([self.again4(out3), up4], 1))
        out5 = self.out5(torch.cat([self.again5(out4), fifth], 1))
        return self.head([out3, out4, out5])


def make(form: str = "v8", seed: int = 0) -> Yolo:
    """The detector with the same weights every time, and scores that differ from cell to cell."""
    torch.manual_seed(seed)
    module = Yolo(form)
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
    return module.eval()
