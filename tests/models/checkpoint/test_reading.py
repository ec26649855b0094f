"""Checkpoints as they are found: read, told apart, and fitted to a model."""

from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from camviz.errors import CheckpointError
from camviz.models.checkpoint import fit
from tests.helpers.weights_files import read_state


def fits(module: nn.Module, state: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())


# dialects

WRAPPINGS = {
    "plain": lambda state: state,
    "state_dict": lambda state: {"epoch": 3, "state_dict": state},
    "model_state_dict": lambda state: {"model_state_dict": state, "loss": 0.5},
    "beside a tensor": lambda state: {"state_dict": state, "best_acc1": torch.tensor([76.1])},
    "beside an optimizer": lambda state: {"model": state, "optimizer": {"state": {}, "lr": 0.1}},
    "twice nested": lambda state: {"model": {"state_dict": state}},
    "module.": lambda state: {f"module.{key}": value for key, value in state.items()},
    "module.module.": lambda state: {f"module.module.{key}": value for key, value in state.items()},
    "nested module.": lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_dialects(net, saved, wrapping):
    state = net(seed=5).state_dict()
    found, notes = read_state(saved(WRAPPINGS[wrapping](state)))
    module = net(seed=0)
    result, _ = fit(module, found, "a.pth", "net")
    assert fits(module, state)
    assert result.summary() == "6 of 6 tensors fit"
    assert bool(notes) == (wrapping != "plain")


def test_what_was_taken_off_is_told(net, saved):
    state = {f"module.{key}": value for key, value in net().state_dict().items()}
    _, notes = read_state(saved({"state_dict": state}))
    assert notes == ["taken from 'state_dict'", "prefix 'module.' stripped"]


def test_a_prefix_that_only_some_keys_have_stays(net, saved):
    found, notes = read_state(saved({"module.weight": torch.ones(2), "bias": torch.ones(2)}))
    assert set(found) == {"module.weight", "bias"}
    assert notes == []


def test_safetensors(net, tmp_path):
    state = net(seed=5).state_dict()
    save_file(state, tmp_path / "a.safetensors")
    found, notes = read_state(tmp_path / "a.safetensors")
    assert notes == []
    module = net()
    fit(module, found, "a", "net")
    assert fits(module, state)


def test_the_old_format_of_torch(net, saved):
    found, _ = read_state(saved(_use_new_zipfile_serialization=False))
    assert set(found) == set(net().state_dict())


def test_half_precision_is_widened(net, saved):
    state = {key: value.half() for key, value in net(seed=5).state_dict().items()}
    module = net()
    fit(module, read_state(saved(state))[0], "a", "net")
    assert module.fc.weight.dtype == torch.float32
    assert torch.equal(module.fc.weight, state["fc.weight"].float())


# files that are no checkpoints


@pytest.mark.parametrize("content", [{}, [1, 2], torch.zeros(3), {"epoch": 3, "lr": 0.1}, "words", {"state_dict": {}}])
def test_no_tensors_by_name(saved, content):
    with pytest.raises(CheckpointError, match="holds no tensors by name") as caught:
        read_state(saved(content))
    assert "state_dict()" in caught.value.hint


# code inside


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, mark) -> None:
        self.mark = str(mark)

    def __reduce__(self):
        import os

        return os.mkdir, (self.mark,)


@pytest.mark.parametrize("form", ["torch", "old torch", "pickle"])
def test_code_in_a_checkpoint_does_not_run(net, tmp_path, saved, form):
    content = {"state_dict": net().state_dict(), "extra": Trap(tmp_path / "ran")}
    if form == "pickle":
        path = tmp_path / "a.pth"
        path.write_bytes(pickle.dumps(content["extra"]))
    else:
        path = saved(content, _use_new_zipfile_serialization=form == "torch")
    with pytest.raises(CheckpointError, match="runs code from the file") as caught:
        read_state(path)
    assert not (tmp_path / "ran").exists()
    assert caught.value.hint.startswith("--allow-pickle")


def test_a_whole_model_is_read_only_when_allowed(saved):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    path = saved(module)
    with pytest.raises(CheckpointError, match=r"torch\.nn\.modules\.container\.Sequential"):
        read_state(path)
    found, notes = read_state(path, allow_pickle=True)
    assert torch.equal(found["0.weight"], module[0].weight)
    assert "a whole pickled model" in notes[0]


def test_a_model_whose_code_is_not_here(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"cnowhere_to_be_found\nNet\n.")
    with pytest.raises(CheckpointError, match="whose code is not here") as caught:
        read_state(tmp_path / "a.pth", allow_pickle=True)
    assert "--checkpoint" in caught.value.hint


# meeting a model
