"""Where a layer's cells lie: the whole input where they tile it, their receptive fields where they do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import camviz
from camviz.models.receptive import cell_area, receptive_fields
from camviz.models.receptive_field import Field
from camviz.types import View


def test_cell_area_by_hand():
    """40 cells of one pixel, the first one centered at 12.5 of 64: they tile 12 to 52."""
    field = Field(size=(25.0, 25.0), jump=(1.0, 1.0), first=(0.0, 0.0))
    assert cell_area(field, (40, 40), (64, 64)) == pytest.approx((12 / 64, 12 / 64, 52 / 64, 52 / 64))
    tiling = Field(size=(40.0, 40.0), jump=(32.0, 32.0), first=(-20.0, -20.0))
    assert cell_area(tiling, (7, 7), (224, 224)) == (0, 0, 1, 1)
    assert cell_area(None, (7, 7), (224, 224)) == (0, 0, 1, 1)


def test_a_view_places_cells_at_their_centers():
    """Two cells that tile 4 to 12 of 16: their centers are 6 and 10."""
    placed = View((16, 1), (0, 0, 16, 1), (16, 1), (0.25, 0, 0.75, 1)).place(np.float32([[0, 4]]))[0]
    assert placed[:6].tolist() == [0] * 6
    assert placed[10:].tolist() == [4] * 6
    assert placed[5:10].tolist() == [0, 0.5, 1.5, 2.5, 3.5]


class Means(nn.Module):
    """Three means over 9×9 pixels, without padding, or with all of it at once in the forward."""

    def __init__(self, padding: int = 0) -> None:
        super().__init__()
        self.padding = padding
        self.convs = nn.Sequential(*(nn.Conv2d(1 if i else 3, 1, 9, bias=False) for i in range(3)))
        for conv in self.convs:
            nn.init.constant_(conv.weight, 1 / 81)
        self.head = nn.Linear(1, 2)
        nn.init.constant_(self.head.weight, 1.0)

    def forward(self, x):
        return self.head(self.convs(F.pad(x, [self.padding] * 4)).mean((2, 3)))


@pytest.mark.parametrize("padding", [0, 6, 12, 24])
def test_a_dot_is_drawn_where_it_is(padding):
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[19:22, 19:22] = 255
    model = camviz.load(Means(padding), input_size=(64, 64), mean=(0.0,) * 3, std=(1.0,) * 3)
    [saliency_map] = camviz.explain(model, pixels, target="0", method="gradcam", layer="convs")
    placed = saliency_map.view.place(saliency_map.values)
    y, x = np.mean(np.nonzero(placed > 0.9 * placed.max()), axis=1)
    assert (x, y) == pytest.approx((20, 20), abs=1)


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "swin_t"])
def test_models_that_tile_are_placed_as_before(name):
    from torchvision import models

    module = models.get_model(name).eval()
    layer = {"resnet18": "layer4", "vgg11": "features", "swin_t": "features"}[name]
    field = receptive_fields(module, (224, 224)).get(layer)
    assert cell_area(field, (7, 7), (224, 224)) == (0, 0, 1, 1)
    assert torch.is_grad_enabled()
