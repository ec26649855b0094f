"""Checkpoints as they are found: read, told apart, and fitted to a model."""

from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from camviz.errors import CheckpointError
from camviz.models.checkpoint import fit, read_weights


@pytest.fixture
def saved(net, tmp_path):
    """`saved(content, "a.pth")`: whatever `torch.save` takes; nothing given: the tiny model's state_dict."""

    def save(content=None, name: str = "a.pth", **settings):
        torch.save(net(seed=5).state_dict() if content is None else content, tmp_path / name, **settings)
        return tmp_path / name

    return save


def read_state(path, allow_pickle: bool = False):
    weights = read_weights(path, allow_pickle)
    return weights.state, weights.notes


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


def damaged(path, start: int, stop: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[start : int(len(content) * stop)])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.pth", b"", "is empty (0 bytes)"),
        ("a.safetensors", b"", "is empty (0 bytes)"),
        ("a.pth", b"<!DOCTYPE html><html>Sign in</html>", "is a web page"),
        ("a.pth", b"\n\n <html lang='en'>", "is a web page"),
        ("a.safetensors", b"<?xml version='1.0'?><Error>AccessDenied</Error>", "is a web page"),
        ("a.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
        ("a.pth", b"just words\n", "is damaged or not a checkpoint (11 bytes)"),
        ("a.pth", b"\x89PNG\r\n\x1a\n" + bytes(3000), "is damaged or not a checkpoint (3 kB)"),
        ("a.pth", b"PK\x03\x04" + bytes(100), "is damaged or not a checkpoint"),
        ("a.safetensors", b"\xff" * 100, "is not readable as safetensors"),
    ],
)
@pytest.mark.parametrize("allow_pickle", [False, True])
def test_what_is_no_checkpoint(tmp_path, name, content, says, allow_pickle):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_state(tmp_path / name, allow_pickle)
    assert says in caught.value.message
    assert str(tmp_path / name) in caught.value.message
    assert caught.value.hint
    assert "pickle" not in caught.value.hint


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("allow_pickle", [True, False])
def test_a_truncated_file(saved, share, zipped, allow_pickle):
    path = saved(_use_new_zipfile_serialization=zipped)
    damaged(path, 0, share)
    with pytest.raises(CheckpointError, match="is damaged"):
        read_state(path, allow_pickle)


def test_truncated_safetensors(net, tmp_path):
    save_file(net().state_dict(), tmp_path / "a.safetensors")
    damaged(tmp_path / "a.safetensors", 0, 0.5)
    with pytest.raises(CheckpointError, match="is not readable as safetensors"):
        read_state(tmp_path / "a.safetensors")


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint file") as caught:
        read_state(tmp_path / "gone.pth")
    assert caught.value.hint
    with pytest.raises(CheckpointError, match="is a folder"):
        read_state(tmp_path)


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
