"""From what was typed to a `Model`."""

from __future__ import annotations

from pathlib import Path
from urllib.error import HTTPError, URLError

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

import camviz
from camviz.errors import CheckpointError, DeviceError, RequestError, UnknownName, WeightsError
from camviz.models.catalog import imagenet_labels
from camviz.models.load import plan
from camviz.types import ModelRequest


@pytest.fixture
def checkpoint(net, tmp_path):
    """`checkpoint(classes=7)`: a file with other weights of the tiny model."""

    def save(name: str = "a.pth", **settings) -> Path:
        torch.save(net(seed=5, **settings).state_dict(), tmp_path / name)
        return tmp_path / name

    return save


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """`offline(error)`: every download fails with that error; nothing is cached."""

    def cut(error: Exception) -> None:
        def fail(*_, **__):
            raise error

        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
        monkeypatch.setattr("torch.hub.download_url_to_file", fail)

    return cut


# names


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        ("resnet5", "no model 'resnet5'", "did you mean 'resnet5"),
        ("dmo", "no model 'dmo'", "did you mean 'demo'"),
        ("qqqqqq", "no model 'qqqqqq'", "'camviz models' lists all"),
        ("tim:resnet18", "no model source 'tim'", ""),
        ("net.pth", "no file of weights 'net.pth'", "--model FILE"),
        ("net.safetensors", "no file of weights 'net.safetensors'", "--model FILE"),
        ("", "no model ''", ""),
    ],
)
def test_a_model_that_does_not_exist(spec, message, hint):
    with pytest.raises(RequestError) as caught:
        plan(ModelRequest(spec))
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.hint


@pytest.mark.parametrize("spec", ["resnet18", "demo"])
def test_weights_that_do_not_exist_list_those_that_do(spec):
    with pytest.raises(UnknownName) as caught:
        plan(ModelRequest(spec, weights="IMAGENET1K_V9"))
    assert caught.value.message == f"no weights 'IMAGENET1K_V9' for {spec}"
    assert "default" in caught.value.hint
    assert "none" in caught.value.hint
    assert ("IMAGENET1K_V1" in caught.value.hint) == (spec == "resnet18")


@pytest.mark.parametrize("spec", ["resnet18", "demo"])
def test_model_args_are_refused_where_they_would_be_passed_over(spec):
    with pytest.raises(RequestError, match="--model-args"):
        plan(ModelRequest(spec, arguments=(("depth", "3"),)))


def test_a_prefix_names_the_source():
    assert plan(ModelRequest("torchvision:resnet18")).name == "resnet18"


@pytest.mark.parametrize("word", ["random", "Random", "NONE"])
def test_random_and_none_in_any_spelling_are_untrained_weights(word):
    untrained, trained = camviz.load("demo", weights="none"), camviz.load("demo")
    model = camviz.load("demo", weights=word)
    for name, values in model.module.state_dict().items():
        assert torch.equal(values, untrained.module.state_dict()[name]), name
    assert not torch.equal(model.module.classifier[1].weight, trained.module.classifier[1].weight)
    assert plan(ModelRequest("squeezenet1_1", weights=word)).build().module is not None


# torchvision


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v3_large", "vit_b_32", "googlenet", "inception_v3"])
def test_without_weights_the_model_is_torchvisions_own(name):
    skeleton = plan(ModelRequest(name)).skeleton()
    assert next(skeleton.module.parameters()).is_meta
    weights = models.get_model_weights(name).DEFAULT
    with torch.device("meta"):
        extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        own = models.get_model(name, **extra)
    assert {k: v.shape for k, v in skeleton.module.state_dict().items()} == {
        k: v.shape for k, v in own.state_dict().items()
    }
    assert skeleton.labels == imagenet_labels()
    assert skeleton.preprocessing.crop == (weights.transforms().crop_size[0],) * 2


def test_preprocessing_follows_the_weights_that_were_chosen():
    names = ["IMAGENET1K_SWAG_E2E_V1", "IMAGENET1K_V1"]
    sizes = [plan(ModelRequest("vit_b_16", weights=name)).skeleton().preprocessing.crop for name in names]
    assert sizes == [(384, 384), (224, 224)]


@pytest.mark.parametrize(
    "error",
    [
        URLError("Name or service not known"),
        HTTPError("http://x", 403, "Forbidden", None, None),
        TimeoutError("timed out"),
        RuntimeError('invalid hash value (expected "a", got "b")'),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_download_that_fails_names_the_file_and_its_place(offline, tmp_path, error):
    offline(error)
    with pytest.raises(WeightsError) as caught:
        camviz.load("squeezenet1_1")
    url = models.SqueezeNet1_1_Weights.DEFAULT.url
    assert url in caught.value.message
    assert str(getattr(error, "reason", error)) in caught.value.message
    assert str(tmp_path / "torch" / "hub" / "checkpoints" / url.rpartition("/")[2]) in caught.value.hint
    assert "--weights none" in caught.value.hint


def test_a_file_in_that_place_is_used(offline, tmp_path):
    offline(URLError("no network"))
    module = models.squeezenet1_1()
    place = tmp_path / "torch" / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    place.parent.mkdir(parents=True)
    torch.save(module.state_dict(), place)
    model = camviz.load("squeezenet1_1")
    assert torch.equal(model.module.classifier[1].weight, module.classifier[1].weight)
    assert not model.module.training


# own weights


def test_a_checkpoint_is_loaded_and_told(net_file, net, checkpoint):
    model = camviz.load(f"{net_file}:Net", checkpoint=checkpoint())
    assert torch.equal(model.module.fc.weight, net(seed=5).fc.weight)
    assert model.notes[0] == "checkpoint: 6 of 6 tensors fit"


def test_weights_may_name_the_file(net_file, net, checkpoint):
    model = camviz.load(f"{net_file}:Net", weights=str(checkpoint()))
    assert torch.equal(model.module.fc.weight, net(seed=5).fc.weight)


def test_two_files_of_weights_are_refused(net_file, checkpoint):
    with pytest.raises(RequestError, match="two files of weights"):
        plan(ModelRequest(f"{net_file}:Net", weights=str(checkpoint("a.pth")), checkpoint=str(checkpoint("b.pth"))))


def test_a_missing_checkpoint_is_told_before_anything_is_built():
    with pytest.raises(CheckpointError, match="no checkpoint file 'gone"):
        plan(ModelRequest("resnet18", checkpoint="gone.pth"))


def test_another_number_of_classes_takes_the_names_away(tmp_path):
    module = models.squeezenet1_1(num_classes=3)
    torch.save({"state_dict": module.state_dict()}, tmp_path / "a.pth")
    model = camviz.load("squeezenet1_1", checkpoint=tmp_path / "a.pth")
    assert model.labels == ()
    assert any("3 classes instead of 1000" in note for note in model.notes)
    assert model.module(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    assert camviz.load("squeezenet1_1", checkpoint=tmp_path / "a.pth", labels=tmp_path / "names.txt").labels == tuple(
        "abc"
    )


def test_the_same_number_of_classes_keeps_the_names(tmp_path):
    torch.save(models.squeezenet1_1().state_dict(), tmp_path / "a.pth")
    assert camviz.load("squeezenet1_1", checkpoint=tmp_path / "a.pth").labels == imagenet_labels()


# a model from Python


def test_a_model_from_python_is_taken_as_it_is(net):
    module = net().train()
    model = camviz.load(module)
    assert model.module is module
    assert module.training
    assert model.name == "Net"


def test_a_model_from_python_with_a_checkpoint(net, checkpoint):
    model = camviz.load(net(), checkpoint=checkpoint())
    assert torch.equal(model.module.fc.weight, net(seed=5).fc.weight)
    assert model.notes
    with pytest.raises(CheckpointError):
        camviz.load(net(), checkpoint="gone.pth")
    with pytest.raises(UnknownName):
        camviz.load(net(), weights="IMAGENET1K_V1")


# preprocessing


def test_input_size_is_width_by_height(net):
    how = camviz.load(net(), input_size=(320, 224)).preprocessing
    assert (how.crop, how.resize) == ((224, 320), 224)


@pytest.mark.parametrize("given", [(0.5,), (0.5, 0.5, 0.5)])
def test_mean_and_std(net, given):
    how = camviz.load(net(), mean=given, std=(0.1, 0.2, 0.3)).preprocessing
    assert how.mean == (0.5, 0.5, 0.5)
    assert how.std == (0.1, 0.2, 0.3)


def test_a_gray_model(net):
    assert camviz.load(net(channels=1)).preprocessing.mean == (0.0,)
    how = camviz.load(net(channels=1), mean=(0.1307,), std=(0.3081,)).preprocessing
    assert (how.mean, how.std) == ((0.1307,), (0.3081,))
    [found] = camviz.explain(camviz.load(net(channels=1), input_size=(32, 32)), torch.zeros(32, 32, 3).byte().numpy())
    assert found.values.shape == (8, 8)


@pytest.mark.parametrize(
    ("channels", "mean", "std", "says"),
    [
        (3, (0.5, 0.5), (0.5, 0.5), "--mean has 2 value(s) and --std 2, for 3 channel(s)"),
        (3, (0.5, 0.5), None, "--mean has 2 value(s) and --std 3"),
        (1, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "for 1 channel(s)"),
        (3, None, (0.5, 0.0, 0.5), "zero"),
    ],
)
def test_mean_and_std_that_cannot_be(net, channels, mean, std, says):
    with pytest.raises(RequestError) as caught:
        camviz.load(net(channels=channels), mean=mean, std=std)
    assert says in caught.value.message


# devices


def test_devices(net):
    assert camviz.load(net(), device="cpu").device == "cpu"
    assert camviz.load(nn.Flatten()).device == "cpu"
    with pytest.raises(DeviceError, match="no device 'gpu'"):
        camviz.load(net(), device="gpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_this_machine_does_not_have(net):
    with pytest.raises(DeviceError, match="no device 'cuda:3' on this machine") as caught:
        camviz.load(net(), device="cuda:3")
    assert "--device cpu" in caught.value.hint


@pytest.mark.parametrize(("channels", "mean"), [(1, (0.0,)), (2, (0.0, 0.0)), (4, (0.485, 0.456, 0.406, 0.0))])
def test_models_of_other_channels_explain_images(channels, mean):
    layers = nn.Conv2d(channels, 4, 3, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    module = nn.Sequential(*layers)
    model = camviz.load(module, input_size=(32, 32))
    assert model.preprocessing.mean == mean
    [found] = camviz.explain(model, np.full((40, 40, 4), 100, np.uint8), method="smoothgrad")
    assert found.values.shape == (32, 32)
    [found] = camviz.explain(model, np.full((40, 40, 3), 100, np.uint8), method="occlusion")
    assert np.isfinite(found.values).all()


def test_the_size_of_images_that_a_model_tells_of():
    from tests.helpers.modules import SIZE, make

    model = camviz.load(make("vit"))
    assert model.preprocessing.crop == (SIZE, SIZE)
    assert camviz.load(make("plain")).preprocessing.crop == (224, 224)


# weights that nothing trained


@pytest.mark.parametrize("spec", ["demo", "squeezenet1_1", "net.py:grown"])
def test_an_untrained_model_is_the_same_every_time(spec, net_file, monkeypatch):
    """Or a run that goes on, its shards and its processes would each explain another model."""
    monkeypatch.chdir(net_file.parent)
    net_file.write_text("from torch import nn\ndef grown(): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())\n")
    torch.manual_seed(7)
    expected = torch.rand(3)
    states = []
    for seed in (7, 8):
        torch.manual_seed(seed)
        states.append(camviz.load(spec, weights="none" if ":" not in spec else "default").module.state_dict())
        if seed == 7:
            assert torch.equal(torch.rand(3), expected)  # the caller's own draws are not disturbed
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
