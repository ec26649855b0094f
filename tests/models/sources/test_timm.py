"""timm as a source: by name, from a folder, without a network."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image as PILImage

import camviz
from camviz.errors import CheckpointError, RequestError
from camviz.models.layers import channels_of, find_layers
from camviz.models.load import plan
from camviz.models.preprocess import prepare
from camviz.tasks.embedding import Embedding
from camviz.types import Image, ModelRequest

needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")


def test_without_timm_the_error_says_how_to_get_it(run, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    told = refused(run("heatmap", "--model", "timm:resnet18"), "timm:resnet18")
    assert "hint: pip install 'camviz[timm]'" in told
    told = refused(run("models", "timm:vit*"), "timm:vit*")
    assert "hint: pip install 'camviz[timm]'" in told


@needs_timm
def test_planning_imports_neither_torch_nor_timm():
    code = (
        "import sys; from camviz.models.load import plan; from camviz.types import ModelRequest\n"
        "one = plan(ModelRequest('timm:resnet18'))\n"
        "assert one.labels[0] == 'tench' and one.task == 'classification'\n"
        "sys.exit(bool({'torch', 'timm', 'huggingface_hub'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_timm
@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnetv2_b3", "vit_tiny_patch16_224", "mobilevit_xxs"])
def test_preprocessing_is_timms_own(name, pixels):
    from timm.data import create_transform, resolve_model_data_config

    model = camviz.load(f"timm:{name}", weights="none")
    transform = create_transform(**resolve_model_data_config(model.module))
    for size in ((300, 200), (517, 701), (90, 90)):
        image = pixels(*size)
        expected = transform(PILImage.fromarray(image)).numpy()
        np.testing.assert_array_equal(prepare(Image(image), model.preprocessing)[0], expected)


@needs_timm
def test_labels_and_task_are_those_of_the_configuration():
    one = camviz.load("timm:resnet18", weights="none")
    assert (one.name, one.task, one.labels[282]) == ("timm:resnet18", "classification", "tiger cat")
    larger = plan(ModelRequest("timm:vit_tiny_patch16_224.augreg_in21k"))
    assert len(larger.labels) == 21843
    assert plan(ModelRequest("timm:vit_small_patch14_dinov2")).task == "embedding"


@needs_timm
def test_another_input_size_where_an_architecture_has_a_fixed_one():
    model = camviz.load("timm:vit_tiny_patch16_224", weights="none", input_size=(96, 64))
    assert model.module.patch_embed.grid_size == (4, 6)
    assert model.preprocessing.crop == (64, 96)


@needs_timm
@pytest.mark.parametrize(
    ("spec", "weights", "quoted"),
    [
        ("timm:resnt18", "default", ["timm:resnt18", "did you mean 'timm:resnet18'"]),
        ("timm:resnet18.a9", "default", ["a9", "a1_in1k"]),
        ("timm:resnet18", "a9", ["a9", "a1_in1k"]),
        ("timm:resnet18.a1_in1k", "a2_in1k", ["a1_in1k", "a2_in1k"]),
        ("timm:resnet50t", "default", ["timm:resnet50t", "--weights none"]),
        ("timm:./nothing", "default", ["./nothing", "timm:FOLDER"]),
        ("vit_tiny_patch16_224", "default", ["did you mean 'timm:vit_tiny_patch16_224'?"]),
    ],
)
def test_what_does_not_exist(run, refused, spec, weights, quoted):
    refused(run("heatmap", "--model", spec, "--weights", weights), *quoted)


@needs_timm
def test_without_a_model_two_lines_say_which_file(run, refused, no_network):
    told = refused(run("heatmap", "--model", "timm:resnet18.a1_in1k"), "no network", "--weights none", "--checkpoint")
    assert "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors" in told


@needs_timm
def test_weights_in_the_hubs_cache_are_used(monkeypatch, tmp_path):
    import timm
    import torch
    from safetensors.torch import save_file

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    torch.manual_seed(3)
    trained = timm.create_model("test_resnet", pretrained=False)
    place = tmp_path / "models--timm--test_resnet.r160_in1k"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc")
    (place / "snapshots" / "abc").mkdir(parents=True)
    save_file(trained.state_dict(), place / "snapshots" / "abc" / "model.safetensors")
    model = camviz.load("timm:test_resnet")
    for key, value in trained.state_dict().items():
        assert torch.equal(model.module.state_dict()[key], value), key


@pytest.fixture
def folder(tmp_path):
    """A small model with three classes as timm saves it."""
    import timm
    from timm.models import save_for_hf

    module = timm.create_model("test_resnet", num_classes=3)
    named = {"label_names": ["cat", "dog", "owl"]}
    save_for_hf(module, tmp_path / "saved", model_config=named, safe_serialization=True)
    return tmp_path / "saved", module


@needs_timm
def test_a_folder_that_timm_saved(folder):
    import torch

    place, module = folder
    model = camviz.load(f"timm:{place}")
    assert model.labels == ("cat", "dog", "owl")
    assert plan(ModelRequest(f"timm:{place}")).labels == ("cat", "dog", "owl")
    assert torch.equal(model.module.get_classifier().weight, module.get_classifier().weight)
    untrained = camviz.load(f"timm:{place}", weights="none").module
    assert untrained.get_classifier().out_features == 3
    assert not torch.equal(untrained.get_classifier().weight, module.get_classifier().weight)


@needs_timm
def test_a_pickle_in_a_folder_is_read_for_its_tensors_alone(folder):
    import torch

    place, module = folder
    (place / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no weights in"):
        plan(ModelRequest(f"timm:{place}"))
    torch.save(module.state_dict(), place / "pytorch_model.bin")
    model = camviz.load(f"timm:{place}")
    assert torch.equal(model.module.get_classifier().weight, module.get_classifier().weight)
    assert (model.labels, model.fitted[0]) == (("cat", "dog", "owl"), model.fitted[1])


@needs_timm
def test_a_folder_that_is_not_timms(folder):
    place, _ = folder
    (place / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(RequestError) as caught:
        plan(ModelRequest(f"timm:{place}"))
    assert caught.value.hint == f"--model hf:{place}"
    (place / "config.json").write_text("{")
    with pytest.raises(RequestError, match="not valid JSON"):
        plan(ModelRequest(f"timm:{place}"))
    shutil.rmtree(place)
    place.mkdir()
    with pytest.raises(RequestError, match=r"no config\.json"):
        plan(ModelRequest(f"timm:{place}"))


@needs_timm
def test_a_checkpoint_of_somebodys_own(tmp_path):
    import timm
    import torch

    module = timm.create_model("test_vit", num_classes=5)
    torch.save(module.state_dict(), tmp_path / "mine.pth")
    model = camviz.load("timm:test_vit", checkpoint=tmp_path / "mine.pth")
    assert torch.equal(model.module.head.weight, module.head.weight)
    assert model.labels == ()


@needs_timm
def test_layers_and_features(run, write_image, tmp_path, written):
    """The other commands take it too, and no two files get the same name."""
    image = write_image(tmp_path / "a.png")
    paths = run("layers", "timm:test_resnet", "--json").stdout
    assert '"layer4"' in paths
    options = ["--model", "timm:test_resnet", "--weights", "none", "--output", tmp_path / "out"]
    assert run("features", image, "--layer", "layer2", *options).exit_code == 0
    assert written() == ["a_features.png"]


@needs_timm
def test_models_lists_timm(run, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    [one] = [json.loads(line) for line in run("models", "timm:resnet18", "--json").stdout.splitlines()][:1]
    assert (one["name"], one["task"], one["cached"]) == ("timm:resnet18", "classification", [])
    assert one["weights"][0] == "a1_in1k"
    place = tmp_path / "models--timm--resnet18.a1_in1k"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc")
    (place / "snapshots" / "abc").mkdir(parents=True)
    (place / "snapshots" / "abc" / "model.safetensors").touch()
    found = json.loads(run("models", "timm:resnet18", "--json").stdout.splitlines()[0])
    assert found["cached"] == ["a1_in1k"]
    assert "timm:resnet18" in run("models").stdout  # what is on this machine is listed without a pattern
    names = [json.loads(line)["name"] for line in run("models", "vit_tiny*", "--json").stdout.splitlines()]
    assert "timm:vit_tiny_patch16_224" in names


@needs_timm
@pytest.mark.parametrize(
    "arguments", [{"num_classes": 0}, {"features_only": True}, {"num_classes": 0, "global_pool": ""}]
)
@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "convnext_atto"])
def test_a_backbone_is_an_embedding_model_with_its_last_stage(name, arguments):
    """The default layer has the channels of the embedding: it is no map of class scores."""
    import torch

    model = camviz.load(f"timm:{name}", weights="none", arguments=arguments)
    assert (model.task, model.labels) == ("embedding", ())
    [layer] = find_layers(model, [])
    inputs = torch.randn(1, 3, *model.preprocessing.crop)
    rows = Embedding(model.name).rows(model.module(inputs), 1)
    assert rows.shape[1] == channels_of(layer)
    expected = timm_features(name, arguments, model.module, inputs)
    assert torch.allclose(rows, expected, atol=1e-5)


def timm_features(name, arguments, module, inputs):
    """The embedding from what timm itself returns."""
    import timm
    import torch

    torch.manual_seed(0)
    own = timm.create_model(name, **arguments).eval()
    own.load_state_dict(module.state_dict())
    output = own(inputs)
    if isinstance(output, list):
        return output[-1].mean((2, 3))
    return output if output.ndim == 2 else output.mean(1) if output.ndim == 3 else output.mean((2, 3))
