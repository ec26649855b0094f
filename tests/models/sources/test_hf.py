"""transformers as a source: folders, the hub's cache, nothing of it from a model."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import camviz
from camviz.errors import CheckpointError, ModelError, RequestError
from camviz.hooks.capture import first_tensor
from camviz.models.load import plan
from camviz.types import ModelRequest
from tests.helpers.small_transformers import DETECTORS, SEGMENTERS, configuration

needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)
NAMES = ["cat", "dog", "owl, large"]


def save(folder: Path, architecture: str = "ViTForImageClassification", processor: str = "", **settings) -> Path:
    """A folder as `save_pretrained` writes it, with weights."""
    import torch
    import transformers

    torch.manual_seed(5)
    made = configuration(architecture, **settings)
    getattr(transformers, architecture)(made).save_pretrained(folder)
    if processor:
        getattr(transformers, processor)(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def _saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hf") / "vit"
    return save(folder, processor="ViTImageProcessor", id2label=dict(enumerate(NAMES)))


@pytest.fixture
def vit(_saved, tmp_path) -> Path:
    """A small ViT of three classes with its weights and its image processor."""
    return Path(shutil.copytree(_saved, tmp_path / "vit"))


def change(folder: Path, **facts) -> None:
    """Alter the folder's config.json; None takes a key away."""
    path = folder / "config.json"
    content = {**json.loads(path.read_text()), **facts}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def test_without_transformers_the_error_says_how_to_get_it(run, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    told = refused(run("heatmap", "--model", "hf:microsoft/resnet-50"), "hf:microsoft/resnet-50")
    assert "hint: pip install 'camviz[hf]'" in told


@needs_transformers
def test_a_folder(vit):
    import torch
    import transformers

    model = camviz.load(f"hf:{vit}")
    assert (model.name, model.task, model.labels, model.notes) == (f"hf:{vit}", "classification", tuple(NAMES), ())
    assert model.preprocessing.crop == (64, 64)
    own = transformers.ViTForImageClassification.from_pretrained(vit)
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(first_tensor(model.module(image)), own.eval()(image).logits)


@needs_transformers
def test_weights_none_are_others(vit):
    import torch

    trained, untrained = (camviz.load(f"hf:{vit}", weights=w).module.classifier.weight for w in ("default", "none"))
    assert not torch.equal(trained, untrained)


@needs_transformers
def test_planning_imports_neither_torch_nor_transformers(vit):
    code = (
        "import sys; from camviz.models.load import plan; from camviz.types import ModelRequest\n"
        f"one = plan(ModelRequest('hf:{vit}'))\n"
        "assert one.labels == ('cat', 'dog', 'owl, large') and one.task == 'classification'\n"
        "sys.exit(bool({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_transformers
def test_a_heatmap_by_class_name(run, vit, write_image, tmp_path):
    result = run(
        "heatmap", write_image(tmp_path / "a.png"), "-m", f"hf:{vit}", "-t", "dog", "-o", tmp_path / "out", "--json"
    )
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["model"] == f"hf:{vit}"
    assert facts["target"] == "dog"
    told = run("heatmap", write_image(tmp_path / "a.png"), "-m", f"hf:{vit}", "-t", "horse")
    assert told.exit_code == 2
    assert "no class 'horse'" in told.stderr


@needs_transformers
def test_layers_of_a_folder(run, vit):
    paths = [json.loads(line)["path"] for line in run("layers", f"hf:{vit}", "--json").stdout.splitlines()]
    assert "vit.layers.2" in paths


@needs_transformers
@pytest.mark.parametrize(
    ("facts", "task", "labels"),
    [
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}}, "classification", ()),
        ({"id2label": {"0": "cat", "2": "owl"}}, "classification", ("cat", "class 1", "owl")),
        ({"problem_type": "multi_label_classification"}, "multilabel", tuple(NAMES)),
        ({"problem_type": "regression"}, "regression", tuple(NAMES)),
    ],
)
def test_what_config_json_says(vit, facts, task, labels):
    change(vit, **facts)
    found = plan(ModelRequest(f"hf:{vit}"))
    assert (found.task, found.labels) == (task, labels)


@needs_transformers
@pytest.mark.parametrize(
    ("facts", "error", "words", "hint"),
    [
        ({"architectures": ["ViTForCausalLM"]}, ModelError, "is a ViTForCausalLM, not", "net.py"),
        ({"architectures": ["ViTOfTheFutureModel"]}, ModelError, "has no ViTOfTheFutureModel", "pip install -U"),
        ({"architectures": None}, ModelError, "names no architecture", "net.py"),
        ({"model_type": None, "architecture": "resnet18"}, RequestError, "saved by timm", "--model timm:"),
        ({"model_type": "of_the_future"}, ModelError, "cannot read", "pip install -U transformers"),
        (
            {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}},
            ModelError,
            "cannot read",
            "its own code is never run",
        ),
    ],
)
def test_folders_that_are_something_else(vit, facts, error, words, hint):
    change(vit, **facts)
    (vit / "mine.py").write_text("raise SystemExit('its code ran')")
    with pytest.raises(error, match=words) as caught:
        camviz.load(f"hf:{vit}")
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


@needs_transformers
def test_no_weights_or_broken_ones(vit):
    (vit / "model.safetensors").write_bytes(b"words")
    with pytest.raises(CheckpointError, match="not readable as safetensors"):
        camviz.load(f"hf:{vit}")
    (vit / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no weights in"):
        plan(ModelRequest(f"hf:{vit}"))
    assert camviz.load(f"hf:{vit}", weights="none").labels == tuple(NAMES)


@needs_transformers
def test_a_pickle_is_read_for_its_tensors_alone(vit):
    import torch
    from safetensors.torch import load_file

    state = load_file(vit / "model.safetensors")
    (vit / "model.safetensors").unlink()
    torch.save(state, vit / "pytorch_model.bin")
    model = camviz.load(f"hf:{vit}")
    assert torch.equal(model.module.state_dict()["classifier.weight"], state["classifier.weight"])
    assert model.notes == ()


@needs_transformers
def test_a_head_that_the_weights_lack_is_refused(vit):
    from safetensors.torch import load_file, save_file

    state = load_file(vit / "model.safetensors")
    save_file({k: v for k, v in state.items() if "classifier" not in k}, vit / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"classifier\.bias, classifier\.weight.*untrained"):
        camviz.load(f"hf:{vit}")


@needs_transformers
def test_an_adapter_without_its_model_is_named(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(ModelError, match="LoRA") as caught:
        plan(ModelRequest(f"hf:{tmp_path}"))
    assert "merge_and_unload" in caught.value.hint


@needs_transformers
def test_without_an_image_processor_the_usual_one_is_assumed_and_told(vit):
    (vit / "preprocessor_config.json").unlink()
    model = camviz.load(f"hf:{vit}")
    assert model.preprocessing.crop == (64, 64)
    assert model.preprocessing.mean == (0.5, 0.5, 0.5)
    [note] = model.notes
    assert f"no preprocessor_config.json in '{vit}'" in note
    assert "vit is assumed" in note


@needs_transformers
def test_a_model_that_was_trained_on_the_other_channel_order(tmp_path):
    import transformers

    configuration("MobileViTForImageClassification").save_pretrained(tmp_path)
    transformers.MobileViTImageProcessor().save_pretrained(tmp_path)
    assert camviz.load(f"hf:{tmp_path}", weights="none").preprocessing.order == "bgr"


@needs_transformers
def test_a_checkpoint_of_somebodys_own(vit, tmp_path):
    import torch

    module = camviz.load(f"hf:{vit}", weights="none").module
    torch.save(module.state_dict(), tmp_path / "mine.pth")
    model = camviz.load(f"hf:{vit}", checkpoint=tmp_path / "mine.pth")
    assert torch.equal(model.module.classifier.weight, module.classifier.weight)


@needs_transformers
def test_a_repository_in_the_hubs_cache(vit, run, no_network, tmp_path):
    """Everything is there, so no network is asked for; the listing shows it."""
    place = tmp_path / "hub" / "models--me--pets"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc")
    shutil.copytree(vit, place / "snapshots" / "abc")
    model = camviz.load("hf:me/pets")
    assert (model.name, model.labels) == ("hf:me/pets", tuple(NAMES))
    [one] = [json.loads(line) for line in run("models", "hf:", "--json").stdout.splitlines()]
    assert one == {"name": "hf:me/pets", "task": "classification", "weights": ["default"], "cached": ["default"]}


@needs_transformers
def test_without_a_model_two_lines_say_what_to_get(run, refused, no_network):
    told = refused(run("heatmap", "--model", "hf:microsoft/resnet-50"), "https://huggingface.co/microsoft/resnet-50")
    assert "hf:FOLDER" in told
    for source, name in (("hf", "./nothing"), ("hf", "my_model/"), ("timm", "my_model/")):
        refused(run("heatmap", "--model", f"{source}:{name}"), f"no folder '{name}'")


@needs_transformers
@pytest.mark.parametrize(
    ("architecture", "task", "shape"),
    [
        *((f"{name}ForSemanticSegmentation", "segmentation", 4) for name in SEGMENTERS),
        *((f"{name}ForObjectDetection", "detection", 3) for name in DETECTORS if name != "RTDetr"),
        pytest.param("RTDetrForObjectDetection", "detection", 3, marks=pytest.mark.slow),
    ],
)
def test_other_heads(architecture, task, shape, tmp_path):
    """They load, take images alone, and what they give starts with the class scores."""
    import torch

    configuration(architecture).save_pretrained(tmp_path)
    model = camviz.load(f"hf:{tmp_path}", weights="none", input_size=(64, 64))
    assert model.task == task
    with torch.no_grad():
        output = model.module(torch.zeros(1, 3, 64, 64))
    assert next(iter(output)) == "logits"
    assert first_tensor(output).ndim == shape
    assert np.isfinite(first_tensor(output).numpy()).all()


@needs_transformers
def test_a_depth_estimator_explains_depth(tmp_path):
    settings = {"hidden_sizes": [8, 16, 24, 32], "depths": [1] * 4, "num_attention_heads": [1, 1, 2, 2]}
    import transformers

    net = transformers.GLPNForDepthEstimation(transformers.GLPNConfig(**settings, decoder_hidden_size=16))
    net.save_pretrained(tmp_path / "net")
    model = camviz.load(f"hf:{tmp_path / 'net'}", input_size=(64, 64))
    [saliency_map] = camviz.explain(model, np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    assert (model.task, saliency_map.target) == ("dense", "mean")
    assert not saliency_map.layer.startswith("head")
    assert saliency_map.values.any()


@needs_transformers
@pytest.mark.skipif(importlib.util.find_spec("scipy") is None, reason="transformers builds MaskFormer with scipy")
def test_a_universal_segmenter_explains_classes(tmp_path):
    import transformers

    stages = {"depths": [1] * 4, "out_features": [f"stage{i}" for i in (1, 2, 3, 4)]}
    body = transformers.SwinConfig(embed_dim=24, num_heads=[1, 2, 2, 2], window_size=4, image_size=64, **stages)
    heads = {f"{part}_attention_heads": 2 for part in ("encoder", "decoder")}
    few = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 32, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    decoder = transformers.DetrConfig(**few, **heads, num_queries=6)
    sizes = {"fpn_feature_size": 32, "mask_feature_size": 32, "num_labels": 3}
    made = transformers.MaskFormerConfig(backbone_config=body, decoder_config=decoder, **sizes)
    transformers.MaskFormerForInstanceSegmentation(made).save_pretrained(tmp_path / "net")
    model = camviz.load(f"hf:{tmp_path / 'net'}", input_size=(64, 64))
    maps = camviz.explain(model, np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    assert model.task == "segmentation"
    assert ".encoder." in maps[0].layer
    assert maps[0].values.any()


@needs_transformers
def test_a_model_that_takes_texts_gives_the_reason(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["OwlViTForObjectDetection"]}))
    with pytest.raises(ModelError, match="takes a text beside each image"):
        plan(ModelRequest(f"hf:{tmp_path}"))
