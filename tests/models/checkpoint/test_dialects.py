"""How people pack the tensors of a model; every packing gives the same ones, and says what it took off."""

from __future__ import annotations

import argparse
import pathlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

import camviz
from camviz.errors import CheckpointError
from camviz.models.checkpoint import fit, kind_of, read_weights
from camviz.models.checkpoint.dialects import DIALECTS, nested, strip, variants
from tests.helpers.archives import exported, scripted


def named(state, prefix):
    return {f"{prefix}{key}": value for key, value in state.items()}


def other(state):
    """The same names, other numbers: the raw weights beside the averaged ones."""
    return {key: value + 1 for key, value in state.items()}


WRAPPINGS = {
    "net": (lambda s: {"net": s}, "taken from 'net'"),
    "ema": (lambda s: {"model": other(s), "ema": s}, "taken from 'ema', not from 'model' (--checkpoint-key model)"),
    "model_ema": (lambda s: {"state_dict": other(s), "model_ema": s}, "taken from 'model_ema'"),
    "state_dict_ema": (lambda s: {"state_dict": other(s), "state_dict_ema": named(s, "module.")}, "state_dict_ema"),
    "ema in a dict": (
        lambda s: {"model": other(s), "ema": {"state_dict": s, "decay": 0.99}},
        "taken from 'ema', not from 'model'",
    ),
    "ema alone": (lambda s: {"ema": s}, "taken from 'ema'"),
    "ema that is no state": (lambda s: {"model": s, "ema": {"decay": 0.99}}, "taken from 'model'"),
    "_orig_mod.": (lambda s: named(s, "_orig_mod."), "'_orig_mod.' stripped"),
    "module._orig_mod.": (lambda s: named(s, "module._orig_mod."), "prefix 'module.' stripped"),
    "_orig_mod.module.": (lambda s: {"model": named(s, "_orig_mod.module.")}, "'_orig_mod.' stripped"),
    "fsdp": (lambda s: named(s, "_fsdp_wrapped_module."), "'_fsdp_wrapped_module.' stripped"),
    "inside": (lambda s: {k.replace("features.", "features._orig_mod."): v for k, v in s.items()}, "_orig_mod"),
    "averaged": (lambda s: {"n_averaged": torch.tensor(3), **named(s, "module.")}, "averaged weights (AveragedModel)"),
    "beside": (lambda s: {**named(other(s), "model."), **named(s, "model_ema.module.")}, "EMA weights 'model_ema.…'"),
    "lightning": (
        lambda s: {"pytorch-lightning_version": "2.1", "state_dict": named(s, "model."), "hyper_parameters": {"lr": 1}},
        "prefix 'model.' stripped",
    ),
    "lightning net": (lambda s: {"state_dict": named(s, "net.")}, "prefix 'net.' stripped"),
    "lightning backbone": (lambda s: {"state_dict": named(s, "backbone.")}, "prefix 'backbone.' stripped"),
    "compiled lightning": (lambda s: {"state_dict": named(s, "model._orig_mod.")}, "prefix 'model.' stripped"),
    "parallel lightning": (lambda s: {"state_dict": named(s, "model.module.")}, "prefix 'model.' stripped"),
    "twice": (lambda s: {"state_dict": named(s, "model.net.")}, "prefix 'net.' stripped"),
    "with a loss": (
        lambda s: {"state_dict": {**named(s, "model."), "loss.weight": torch.ones(4)}},
        "prefix 'model.' stripped, 1 tensor(s) beside it left out (loss.weight)",
    ),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("safe", [False, True])
def test_every_packing_gives_the_same_tensors(net, tmp_path, wrapping, safe):
    state = net(seed=5).state_dict()
    wrap, says = WRAPPINGS[wrapping]
    packed = wrap(state)
    if safe:
        if any(isinstance(value, (dict, str)) for value in packed.values()):
            pytest.skip("safetensors cannot nest")
        save_file({key: value.clone() for key, value in packed.items()}, tmp_path / "a.safetensors")
    else:
        torch.save(packed, tmp_path / "a.pth")
    weights = read_weights(tmp_path / ("a.safetensors" if safe else "a.pth"))
    module = net(seed=0)
    result, notes = fit(module, weights.state, "a.pth", "net")
    assert result.summary() == "6 of 6 tensors fit"
    assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())
    assert any(says in note for note in [*weights.notes, *notes])


REAL = {
    "parallel": nn.DataParallel,
    "averaged": AveragedModel,
    "compiled": torch.compile,
    "both": lambda module: torch.compile(nn.DataParallel(module)),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in ("compiled", "both") else ()) for name in REAL]
)
def test_real_wrappers_of_torch(net, tmp_path, name):
    module = net(seed=5)
    torch.save(REAL[name](module).state_dict(), tmp_path / "a.pth")
    assert set(read_weights(tmp_path / "a.pth").state) == set(module.state_dict())


def test_each_dialect_passes_by_where_its_sign_is_not(net):
    state = net().state_dict()
    assert [dialect(state) for dialect in DIALECTS] == [None] * len(DIALECTS)
    assert strip(state) == (state, [])
    assert list(variants(state)) == [(state, [])]
    assert nested({"epoch": 3, "model": "resnet18"}) == ("", [])


def test_prefixes_that_are_the_models_own_stay():
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2))

    own = Wrapper()
    result, notes = fit(Wrapper(), own.state_dict(), "a", "w")
    assert (len(result.fitted), notes) == (4, [])
    result, notes = fit(Wrapper(), own.model.state_dict(), "a", "w")
    assert (len(result.fitted), notes) == (4, ["prefix 'model.' put before"])


def test_words_beside_the_tensors_do_not_stop_the_safe_reader(net, tmp_path):
    beside = {
        "args": argparse.Namespace(arch="resnet18", lr=0.1, out=pathlib.PosixPath("runs")),
        "best": np.float64(93.5),
        "epoch": np.int64(7),
    }
    torch.save({"state_dict": net().state_dict(), **beside}, tmp_path / "a.pth")
    weights = read_weights(tmp_path / "a.pth")
    assert set(weights.state) == set(net().state_dict())
    assert weights.settings == {"arch": "resnet18", "lr": 0.1}


# hyper-parameters


def lightning(net, path, **settings):
    state = {f"model.{key}": value for key, value in net(classes=7, seed=5).state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": settings}, path)
    return path


@pytest.mark.parametrize("nest", [False, True])
def test_hyper_parameters_are_arguments_where_the_names_match(net, net_file, tmp_path, nest):
    told = {"classes": 7, "lr": 0.1}
    path = lightning(net, tmp_path / "a.ckpt", **({"model_hparams": told, "name": "x"} if nest else told))
    model = camviz.load(f"{net_file}:Net", checkpoint=path)
    assert model.module.fc.out_features == 7
    assert "arguments from the checkpoint: classes=7 (--model-args)" in model.notes
    assert not any("instead of" in note for note in model.notes)
    assert any(note.startswith("hyper-parameters: ") and "lr" in note for note in model.notes)


def test_arguments_that_were_typed_win(net, net_file, tmp_path):
    path = lightning(net, tmp_path / "a.ckpt", classes=9)
    model = camviz.load(f"{net_file}:Net", checkpoint=path, arguments={"classes": 5})
    assert not any("arguments from the checkpoint" in note for note in model.notes)
    assert "'fc' has 7 classes instead of 5" in model.notes


def test_hyper_parameters_that_are_no_arguments_are_only_told(net, net_file, tmp_path):
    path = lightning(net, tmp_path / "a.ckpt", depth=3, note="w" * 200)
    model = camviz.load(f"{net_file}:Net", checkpoint=path)
    [note] = [note for note in model.notes if note.startswith("hyper-parameters")]
    assert note.startswith("hyper-parameters: depth=3, note=www")
    assert len(note) < 100


# the first convolution follows


def test_input_channels_follow_the_checkpoint(net):
    module, state = net(), net(channels=1, seed=5).state_dict()
    result, notes = fit(module, state, "a", "net")
    assert notes == ["'features.0' takes 1 channel(s) instead of 3"]
    assert result.summary() == "6 of 6 tensors fit"
    assert module(torch.ones(1, 1, 32, 32)).shape == (1, 4)


@pytest.mark.parametrize("shape", [(8, 3, 5, 5), (4, 1, 3, 3), (8, 3, 3)])
def test_a_first_convolution_of_another_kind_does_not(net, shape):
    state = net().state_dict() | {"features.0.weight": torch.ones(shape)}
    with pytest.raises(CheckpointError, match=r"features\.0\.weight .* untrained"):
        fit(net(), state, "a", "net")


# kinds by content, whatever the name


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_what_a_file_is_does_not_hang_on_its_name(tmp_path):
    state = {"w": torch.ones(2)}
    save_file(state, tmp_path / "a.pth")
    torch.save(state, tmp_path / "b.safetensors")
    scripted(tmp_path / "c.pth")
    exported(tmp_path / "d.bin.pt2")
    torch.save(state, tmp_path / "e.any", _use_new_zipfile_serialization=False)
    kinds = [kind_of(tmp_path / name) for name in ("a.pth", "b.safetensors", "c.pth", "d.bin.pt2", "e.any")]
    assert kinds == ["safetensors", "torch", "torchscript", "exported", "pickle"]
    for name in ("a.pth", "b.safetensors", "e.any"):
        assert torch.equal(read_weights(tmp_path / name).state["w"], state["w"])
