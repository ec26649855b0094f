"""A model of one pixel whose gradients are computed by hand."""

import numpy as np
import torch
from torch import nn

import camviz


class OnePixel(nn.Module):
    """S_0 = relu(-relu(a) + 2·relu(b)) for pixels a and b of a 1×2 image: its gradients fit on a line."""

    def __init__(self, functional: bool, inplace: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([1.0, 0, 0])[None, :, None, None])
        self.relu = nn.ReLU(inplace)
        self.functional = functional

    def forward(self, x):
        act = torch.relu if self.functional else self.relu
        hidden = act(self.conv(x))[:, 0, 0]  # (n, 2)
        s = act((hidden * torch.tensor([-1.0, 2.0])).sum(1))
        return torch.stack([s, -s], 1)


def gradients(a: float, b: float, method: str, **kinds) -> list[float]:
    """The map over the two pixels (signed: the sum over the colors)."""
    module = OnePixel(**kinds)
    how = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "task": "classification"}
    asked = camviz.load(module, input_size=(2, 1), **how)
    image = np.zeros((1, 2, 3), np.uint8)
    image[0, :, 0] = [round((a + 1) * 127.5), round((b + 1) * 127.5)]
    [found] = camviz.explain(asked, image, layer="conv", method=method, target="0", settings={"reduce": "sum"})
    return found.values[0].tolist()
