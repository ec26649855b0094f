"""Which tensors of a checkpoint go into a model, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from camviz.errors import CheckpointError
from camviz.models.checkpoint import fit


def fits(module: nn.Module, state: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())


def test_the_head_follows_the_number_of_classes(net):
    module, other = net(classes=4), net(classes=7, seed=5)
    result, notes = fit(module, other.state_dict(), "a.pth", "net")
    assert notes == ["'fc' has 7 classes instead of 4"]
    assert result.summary() == "6 of 6 tensors fit"
    assert module.fc.out_features == 7
    assert torch.equal(module.fc.weight, other.fc.weight)
    image = torch.ones(1, 3, 32, 32)
    assert torch.equal(module.eval()(image), other.eval()(image))


def test_a_convolutional_head_follows_too():
    def build(classes: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, classes, 1), nn.Flatten())

    module = build(10)
    _, notes = fit(module, build(3).state_dict(), "a.pth", "net")
    assert notes == ["'1' has 3 classes instead of 10"]
    assert module[1].out_channels == 3


def test_a_layer_in_the_middle_does_not_follow(net):
    state = net(seed=5).state_dict()
    state["features.0.weight"], state["features.0.bias"] = torch.ones(9, 3, 3, 3), torch.ones(9)
    with pytest.raises(CheckpointError, match=r"features\.0\.weight, features\.0\.bias .* untrained"):
        fit(net(), state, "a.pth", "net")


@pytest.mark.parametrize("missing", ["fc.bias", "fc.weight", "features.0.weight"])
def test_no_layer_stays_untrained(net, missing):
    state = net(seed=5).state_dict()
    del state[missing]
    with pytest.raises(CheckpointError, match="untrained") as caught:
        fit(net(), state, "a.pth", "net")
    assert missing in caught.value.message
    assert "--model" in caught.value.hint


def test_what_does_not_depend_on_training_may_be_missing():
    class Net(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3))
            self.register_buffer("places", torch.arange(5))
            self.scale = nn.Parameter(torch.ones(4))
            self.aux = nn.Linear(4, 2)

    state = {key: value for key, value in Net().state_dict().items() if key.startswith(("0.", "2.", "3."))}
    assert len(fit(Net(), state, "a.pth", "net")[0].missing) == 6


def test_unexpected_tensors_are_counted_and_named(net):
    state = net(seed=5).state_dict() | {f"extra.{i}": torch.ones(1) for i in range(4)}
    result, _ = fit(net(), state, "a.pth", "net")
    assert result.summary() == "6 of 6 tensors fit; 4 unexpected (extra.0, extra.1, extra.2, …)"


def test_counters_of_batch_normalization_are_not_counted():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    state = {key: value for key, value in module.state_dict().items() if "num_batches" not in key}
    assert fit(module, state, "a.pth", "net")[0].summary() == "6 of 6 tensors fit"


def test_another_model_is_refused_and_nothing_is_loaded(net):
    module = net(seed=0)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    other = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4))
    with pytest.raises(CheckpointError) as caught:
        fit(module, other.state_dict(), "a.pth", "net")
    assert "'a.pth' does not fit net: 0 of 6 tensors fit; 6 missing" in caught.value.message
    assert "--model" in caught.value.hint
    assert fits(module, before)


def test_under_half_is_refused(net):
    state = dict(list(net().state_dict().items())[:2])
    with pytest.raises(CheckpointError, match="2 of 6 tensors fit"):
        fit(net(), state, "a.pth", "net")


def test_a_small_model_in_a_large_checkpoint_is_refused(net):
    state = net().state_dict() | {f"more.{i}": torch.ones(1) for i in range(7)}
    with pytest.raises(CheckpointError, match="7 unexpected"):
        fit(net(), state, "a.pth", "net")
