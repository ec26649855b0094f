"""Theoretical receptive fields: chains, branches, windows and gates, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from camviz.models.receptive import receptive_fields
from camviz.models.receptive_field import ATTENDED, GATE, Field, union
from tests.helpers.modules import make


def fields(module: nn.Module, size: int = 64):
    return receptive_fields(module.eval(), (size, size))


def test_a_chain_by_hand():
    found = fields(
        nn.Sequential(
            nn.Conv2d(3, 4, 7, stride=2, padding=3),  # 7, every 2 pixels, from -3
            nn.MaxPool2d(3, 2, 1),  # + 2·2 = 11, every 4, from -3 - 1·2
            nn.Conv2d(4, 4, 3, padding=2, dilation=2),  # + 2·2·4 = 27, every 4, from -5 - 2·4
            nn.AvgPool2d(2),  # + 1·4 = 31, every 8
            nn.Conv2d(4, 4, (1, 3), padding=(0, 1)),  # 31 down; + 2·8 = 47 across, from -13 - 8
        )
    )
    assert [one.size for one in found.values()] == [(7, 7), (11, 11), (27, 27), (31, 31), (31, 47)]
    assert [one.jump[0] for one in found.values()] == [2, 4, 4, 8, 8]
    assert [one.first for one in found.values()] == [(-3, -3), (-5, -5), (-13, -13), (-13, -13), (-13, -21)]
    assert found["0"].center == (0.5, 0.5)
    assert found["4"].box(2, 1) == (-13, 3, 34, 34)
    assert found["0"].share((64, 64)) == pytest.approx(49 / 4096)
    assert found["4"].share((16, 94)) == pytest.approx(0.5)


class Branches(nn.Module):
    """A residual sum in place, a concatenation, a functional pool, a gate, a channels-last detour."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 5, padding=2), nn.Conv2d(6, 3, 1)
        self.gate, self.linear, self.last = nn.Conv2d(3, 3, 1), nn.Linear(3, 5), nn.Identity()

    def forward(self, x):
        x = F.relu(self.a(x))
        x += x.clone()
        x = F.max_pool2d(torch.cat([x, self.b(x)], 1), 2)
        x = self.c(x)
        x = x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        return self.last(self.linear(F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


def test_branches_take_the_largest():
    found = fields(Branches(), 16)
    assert found["b"].size == (7, 7)
    assert found["c"] == Field((8, 8), (2, 2), (-3, -3))
    assert found["gate"] == GATE
    assert found["last"] == Field((8, 8), (2, 2), (-5, -5), gated=True)
    assert found["linear"].axes == (1, 2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", {"conv1": 7, "layer1": 43, "layer2": 99, "layer3": 211, "layer4": 435}),
        ("resnet50", {"layer1": 35, "layer2": 91, "layer3": 267, "layer4": 427}),
        ("vgg16", {"features": 212, "avgpool": 212}),
        ("mobilenet_v2", {"features.1": 7, "features.18": 491}),
        ("squeezenet1_1", {"features.12": 207}),
        ("densenet121", {"features.conv0": 7, "features.pool0": 11, "features": 2071}),
        ("mobilenet_v3_large", {"features.3": 19, "features.16": 595}),
        ("convnext_tiny", {"features.0": 4, "features.1": 76}),
        ("vit_b_16", {"conv_proj": 16, "encoder.layers.encoder_layer_0.ln_1": 16}),
    ],
)
def test_known_models(name, expected):
    import torchvision

    from camviz.models.cheap_init import parameters_on_meta

    with parameters_on_meta():
        module = torchvision.models.get_model(name, weights=None)
    found = fields(module, 224)
    assert {path: found[path].size for path in expected} == {path: (side, side) for path, side in expected.items()}
    assert None not in found.values()


def test_behind_pooling_or_attention_everything_is_seen():
    assert fields(make("plain"), 32)["fc"].whole
    found = fields(make("vit"), 32)
    assert found["encoder.layers.encoder_layer_0.self_attention"] == ATTENDED
    assert found["encoder.ln"] == ATTENDED, "the residual sum must not take it for a gate"


def test_a_grid_that_does_not_come_back_is_not_followed():
    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x):
            return self.b(torch.roll(self.a(x), 1, 2))

    found = fields(Windows(), 8)
    assert found["a"].size == (1, 1)
    assert found["b"] is None


class Attend(nn.Module):
    """Attention in windows of 4 × 4 cells, as it is written in the transformers that have it."""

    def __init__(self, shift: int = 0) -> None:
        super().__init__()
        self.shift, self.qkv, self.done = shift, nn.Linear(3, 9), nn.Identity()

    def forward(self, x):
        b, c, h, w = x.shape
        x = torch.roll(x.permute(0, 2, 3, 1), (-self.shift, -self.shift), (1, 2))
        x = x.view(b, h // 4, 4, w // 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, c)
        q, k, v = self.qkv(x).chunk(3, -1)
        x = torch.softmax(q @ k.transpose(1, 2) + x.new_zeros(16, 16), -1) @ v
        x = x.view(b, h // 4, w // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
        return self.done(torch.roll(x, (self.shift, self.shift), (1, 2)))


@pytest.mark.parametrize("shift", [0, 2])
def test_windows_by_hand(shift):
    # a cell sees at most 3 cells on each side of it: 7, every pixel, from -3
    found = fields(Attend(shift), 16)["done"]
    assert (found.size, found.jump, found.first) == ((7, 7), (1, 1), (-3, -3))
    assert found.bound
    assert found.axes == (1, 2)
    assert not fields(nn.Sequential(nn.Conv2d(3, 3, 3)), 16)["0"].bound


def tiny_swin():
    from torchvision.models.swin_transformer import SwinTransformer

    torch.manual_seed(0)
    return SwinTransformer([2, 2], 16, [2, 2], [2, 2], [4, 4], num_classes=3).eval()


def test_a_swin_sees_nothing_beyond_its_bound_and_some_units_reach_it():
    module = tiny_swin()
    found = fields(module)
    # patches of 2; windows of 4 cells of 2 pixels: 2 + 2·3·2, twice
    assert [found[f"features.1.{k}"].size[0] for k in (0, 1)] == [14, 26]
    assert found["features.2"].size[0] == 28
    assert found["features.3"].size[0] == 28 + 2 * 2 * 3 * 4
    inputs = torch.randn(2, 3, 64, 64, requires_grad=True)
    for path in ("features.1.0", "features.1.1", "features.3"):
        kept = {}
        handle = module.get_submodule(path).register_forward_hook(lambda *now, kept=kept: kept.update(maps=now[2]))
        module(inputs)
        handle.remove()
        reached = []
        for row in range(kept["maps"].shape[1]):
            unit = kept["maps"][:, row, kept["maps"].shape[2] // 2].sum()
            [gradient] = torch.autograd.grad(unit, inputs, retain_graph=True)
            seen = (gradient.abs().sum((0, 1)) > 1e-30).nonzero()  # the mask of shifted windows is not quite infinite
            (top, left), (bottom, right) = seen.amin(0).tolist(), (seen.amax(0) + 1).tolist()
            box = found[path].box(row, kept["maps"].shape[2] // 2)
            assert max(box[0] - left, box[1] - top, right - box[2], bottom - box[3]) <= 0
            reached.append(top == box[1] or bottom == box[3])
        assert any(reached) == (path == "features.1.0")  # shifted windows overlap less than they could


def test_one_window_is_the_whole_input_and_einsum_is_followed():
    from torchvision.models import get_model

    with torch.device("meta"):
        swin, maxvit = get_model("swin_t"), get_model("maxvit_t")
    found = receptive_fields(swin, (224, 224))
    assert all(found.values())
    assert found["features.7"].whole
    assert not found["features.5"].whole
    blocks = receptive_fields(maxvit, (224, 224))
    first = blocks["blocks.0.layers.0.layers.window_attention"]
    assert first.bound
    assert first.gated
    # a convolution of 3 on cells of 4 pixels, within windows of 7: 2·6·4 more
    assert first.size[0] == blocks["blocks.0.layers.0.layers.MBconv"].size[0] + 2 * 6 * 4


def test_every_second_cell_and_padded_channels():
    """The shortcut of the residual models for small images: x[:, :, ::2, ::2] and channels of zeros."""

    class Shortcut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.after = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1)
            self.down = nn.Conv2d(4, 8, 3, 2, 1)

        def forward(self, x):
            x = self.conv(x)
            return self.after(self.down(x) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)))[..., 3:, 1:]

    module = nn.Sequential(Shortcut())
    found = fields(module, 16)
    assert found["0.after"] == Field((9, 9), (2, 2), (-4, -4))
    assert found["0"] == Field((9, 9), (2, 2), (2, -2))


def test_a_statistic_of_the_whole_grid_is_a_gate():
    found = fields(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)))
    assert [one.gated for one in found.values()] == [False, True, True, True]
    assert found["3"].size == (5, 5)


def test_of_unequal_grids_nothing_is_said():
    assert union([Field(jump=(2, 2)), Field(jump=(4, 4))]) is None


def test_the_model_comes_back_as_it_was():
    module = make("residual").train()
    receptive_fields(module, (32, 32))
    assert module.training
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


@pytest.mark.parametrize("path", ["features.0", "features.2", "features.4", "layer2.0", "layer3"])
def test_the_field_is_where_the_gradient_is(path):
    """With positive weights and no maximum every pixel of the field counts: its edges are those of the gradient."""
    if path.startswith("features"):
        module: nn.Module = nn.Sequential()
        module.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 1, 0), nn.AvgPool2d(2), nn.Conv2d(4, 4, 5, 1, 2)
        )
        size = 64
    else:
        import torchvision

        module, size = torchvision.models.resnet18(weights=None), 320
        module.maxpool = nn.AvgPool2d(3, 2, 1)
    module.eval()
    for parameter in module.parameters():
        nn.init.constant_(parameter, 0.1)
    field = fields(module, size)[path]
    x = torch.ones(1, 3, size, size, requires_grad=True)
    outputs = []
    module.get_submodule(path).register_forward_hook(lambda *args: outputs.append(args[-1]))
    module.double()(x.double())
    row, column = outputs[0].shape[2] // 2, outputs[0].shape[3] // 2 + 1
    [gradient] = torch.autograd.grad(outputs[0][0, :, row, column].sum(), x)
    rows, columns = torch.nonzero(gradient[0].abs().sum(0), as_tuple=True)
    seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert tuple(map(int, seen)) == tuple(map(int, field.box(row, column)))
