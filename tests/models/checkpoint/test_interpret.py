"""Models interpreted from TorchScript: scores, layers, branches, settings."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from camviz.models.checkpoint.interpret import agree, restored, with_layers
from tests.helpers.modules import make

SIZE = 32


FORMS = {
    "traced": lambda module: torch.jit.trace(module, torch.rand(1, 3, SIZE, SIZE), check_trace=False),
    "scripted": torch.jit.script,
}


class Branching(nn.Module):
    """Everything that a forward may have: branches, loops, lists, methods of its own, numbers, several outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1, groups=2)])
        self.norm = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 4)
        self.scale = 0.5

    def pooled(self, x: torch.Tensor, twice: bool = False) -> torch.Tensor:
        return x.mean((2, 3)) * (2.0 if twice else 1.0)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, int]:
        kept: list[torch.Tensor] = []
        for conv in self.convs:
            x = torch.relu(conv(x))
            kept.append(x)
        for number in range(2):
            if number > 0 and x.shape[0] > 0:
                x = x + self.scale * kept[-1]
        x = self.norm(x)
        return self.fc(self.pooled(x, twice=True)), len(kept)


@pytest.fixture
def image():
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["plain", "inplace", "residual", "channels-last", "vit"])
def test_a_restored_model_gives_the_same_scores_and_has_the_same_layers(name, form, image):
    module = make(name)
    script = FORMS[form](module)
    again = restored(script).eval()
    with torch.no_grad():
        assert torch.allclose(again(image), module(image), atol=1e-6)
        assert torch.allclose(with_layers(again)(image), module(image), atol=1e-6)
    if form == "scripted":
        paths = {
            path for path, part in module.named_modules() if type(part).__name__ != "NonDynamicallyQuantizableLinear"
        }
        assert paths - {path for path, _ in again.named_modules()} <= {"encoder.layers.encoder_layer_0.self_attention"}
    kinds = [type(part).__name__ for part in module.modules() if isinstance(part, nn.Conv2d)]
    assert [type(part).__name__ for part in again.modules() if isinstance(part, nn.Conv2d)] == kinds


def test_branches_loops_and_lists(image):
    torch.manual_seed(0)
    module = Branching().eval()
    again = restored(torch.jit.script(module)).eval()
    with torch.no_grad():
        scores, count = again(image)
        assert torch.allclose(scores, module(image)[0], atol=1e-6)
        assert count == 2
        assert torch.allclose(with_layers(again)(image)[0], module(image)[0], atol=1e-6)
    grouped = again.convs.get_submodule("1")
    assert (type(grouped), grouped.groups, grouped.in_channels, grouped.stride) == (nn.Conv2d, 2, 8, (2, 2))


def test_settings_of_traced_layers_come_back(image):
    module = nn.Sequential(nn.Conv2d(3, 4, (3, 5), (1, 2), (2, 1), (2, 1)), nn.BatchNorm2d(4, eps=0.5), nn.Flatten())
    again = restored(FORMS["traced"](module.eval())).eval()
    again(image)
    convolution, norm, _ = with_layers(again).children()
    own = module[0]
    for setting in ("kernel_size", "stride", "padding", "dilation", "groups", "in_channels"):
        assert getattr(convolution, setting) == getattr(own, setting)
    assert norm.eps == 0.5
    assert torch.allclose(again(image), module(image), atol=1e-6)


def test_agreement_is_of_numbers_and_shapes(image):
    torch.manual_seed(0)
    one = make("plain")
    assert agree(one, one, image)
    assert not agree(one, make("plain", seed=1), image)
    assert not agree(one, make("residual"), torch.rand(1, 2, 3))
