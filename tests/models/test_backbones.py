"""Bare backbones of transformers: from images alone to embeddings, at their size and at others."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import camviz
from camviz.models.layers import find_layers

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 64,
    "patch_size": 8,
}


def save(folder: Path, architecture: str, processor: bool = True, **settings) -> Path:
    """A backbone of small settings as `save_pretrained` writes it, with an image processor of other statistics."""
    import torch
    import transformers

    torch.manual_seed(2)
    kind = getattr(transformers, architecture)
    kind(kind.config_class(**{**SMALL, **settings})).save_pretrained(folder)
    if processor:
        transformers.ViTImageProcessor(size={"height": 64, "width": 64}, image_mean=[0.25] * 3).save_pretrained(folder)
    return folder


def output_of(folder: Path, architecture: str, inputs):
    """What transformers itself returns for the inputs."""
    import torch
    import transformers

    module = getattr(transformers, architecture).from_pretrained(folder).eval()
    with torch.no_grad():
        return module(**inputs)


def embedded(folder: Path, size: int = 64, **keywords):
    import torch

    model = camviz.load(f"hf:{folder}", **keywords)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model, images, model.module(images)


@pytest.mark.parametrize(
    ("architecture", "read"),
    [
        ("ViTModel", lambda out: out.pooler_output),
        ("Dinov2Model", lambda out: out.last_hidden_state[:, 0]),
        ("DINOv3ViTModel", lambda out: out.last_hidden_state[:, 0]),
        ("ViTMSNModel", lambda out: out.last_hidden_state[:, 0]),
        ("IJepaModel", lambda out: out.last_hidden_state.mean(1)),
        ("CLIPVisionModel", lambda out: out.pooler_output),
        ("CLIPVisionModelWithProjection", lambda out: out.image_embeds),
        ("Dinov2Backbone", lambda out: out.feature_maps[-1].mean((2, 3))),
    ],
)
def test_the_embedding_is_the_pooled_output_or_the_class_token_or_the_mean(architecture, read, tmp_path):
    import torch

    folder = save(tmp_path, architecture)
    model, images, rows = embedded(folder)
    assert (model.task, model.preprocessing.mean) == ("embedding", (0.25, 0.25, 0.25))
    assert torch.equal(rows, read(output_of(folder, architecture, {"pixel_values": images})))


def test_weights_without_a_pooler_give_the_class_token(tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    folder = save(tmp_path, "ViTModel")
    state = load_file(folder / "model.safetensors")
    kept = {key: value for key, value in state.items() if not key.startswith("pooler")}
    assert len(kept) < len(state)
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    model, images, rows = embedded(folder)
    assert torch.equal(rows, output_of(folder, "ViTModel", {"pixel_values": images}).last_hidden_state[:, 0])
    assert "pooler" in model.notes[0]


@pytest.mark.parametrize("architecture", ["ViTModel", "Dinov2Model", "CLIPVisionModel", "BeitModel"])
def test_positions_are_interpolated_as_the_models_code_does(architecture, tmp_path):
    import torch

    settings = {"use_absolute_position_embeddings": True} if architecture == "BeitModel" else {}
    folder = save(tmp_path, architecture, **settings)
    _, images, rows = embedded(folder, 96, input_size=(96, 96))
    keywords = {} if architecture in ("Dinov2Model", "BeitModel") else {"interpolate_pos_encoding": True}
    assert torch.equal(rows, output_of(folder, architecture, {"pixel_values": images, **keywords}).pooler_output)


def test_an_encoder_of_a_masked_autoencoder_sees_every_patch_in_order(tmp_path):
    import torch
    import transformers

    config = transformers.ViTMAEConfig(**SMALL, decoder_hidden_size=16, decoder_num_hidden_layers=1)
    config.decoder_num_attention_heads = 2
    transformers.ViTMAEForPreTraining(config).save_pretrained(tmp_path)
    model, images, rows = embedded(tmp_path)
    assert torch.equal(rows, model.module(images))
    [layer] = find_layers(model, ["layers.1"])
    assert (layer.prefix, layer.shape) == (1, (65, 32))
    tokens = model.module.embeddings(images, noise=torch.arange(64.0).expand(2, -1))[0][:, 1:]
    expected = model.module.embeddings.patch_embeddings(images) + model.module.embeddings.position_embeddings[:, 1:]
    assert torch.allclose(tokens, expected)


def test_a_model_that_takes_patches_is_shown_images(tmp_path):
    """SigLIP 2 takes flat patches, their mask and the shape of the grid: as its own processor makes them."""
    import torch
    import transformers

    config = transformers.Siglip2VisionConfig(**{**SMALL, "num_patches": 64})
    transformers.Siglip2VisionModel(config).save_pretrained(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    processor = transformers.Siglip2ImageProcessor(patch_size=8, max_num_patches=64)
    expected = output_of(tmp_path, "Siglip2VisionModel", processor(images=pixels, return_tensors="pt")).pooler_output
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        rows = camviz.load(f"hf:{tmp_path}").module(images)
    assert torch.allclose(rows, expected, atol=1e-5)


def test_similarity_to_an_image_in_one_command(run, write_image, tmp_path):
    folder = save(tmp_path / "net", "Dinov2Model")
    result = run(
        "heatmap",
        write_image(tmp_path / "a.png", seed=1),
        *("-m", f"hf:{folder}", "-t", f"similar:{write_image(tmp_path / 'b.png', seed=2)}", "--json"),
        *("-o", tmp_path / "out"),
    )
    assert result.exit_code == 0, result.stderr
    assert -1 <= json.loads(result.stdout)["score"] <= 1


@pytest.mark.parametrize(
    ("config", "spec"),
    [({"model_type": "vit"}, "hf:{0}"), ({"architecture": "resnet18"}, "timm:{0}"), (None, "hf:FOLDER")],
)
def test_a_saved_folder_without_its_prefix_is_recognized(config, spec, run, refused, tmp_path):
    if config:
        (tmp_path / "config.json").write_text(json.dumps(config))
    assert spec.format(tmp_path) in refused(run("heatmap", "-m", str(tmp_path)), str(tmp_path))


def test_a_repository_without_its_prefix_is_recognized(run, refused):
    assert "hf:facebook/dinov2-small" in refused(run("heatmap", "-m", "facebook/dinov2-small"), "facebook/dinov2-small")
