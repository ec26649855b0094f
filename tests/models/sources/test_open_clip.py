"""open_clip as a source: untrained, without a network."""

from __future__ import annotations

import importlib.util
import sys

import pytest

import camviz
from camviz.errors import UnknownName

needs_open_clip = pytest.mark.skipif(importlib.util.find_spec("open_clip") is None, reason="open_clip is not installed")


def test_without_open_clip_the_error_says_how_to_get_it(run, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    told = refused(run("heatmap", "--model", "open_clip:ViT-B-32"), "open_clip:ViT-B-32")
    assert "pip install 'camviz[open_clip]'" in told


@needs_open_clip
def test_images_and_words_have_embeddings_of_one_size():
    import torch

    model = camviz.load("open_clip:ViT-B-32-quickgelu", weights="none")
    assert model.task == "embedding"
    assert model.preprocessing.crop == (224, 224)
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        row = model.module(images)[0]
        assert torch.equal(row, model.module.encode_image(images)[0])
    assert model.embed_text("a cat").shape == row.shape


@needs_open_clip
def test_a_name_or_a_tag_that_does_not_exist():
    for spec, weights, hint in (("ViT-B-33", "none", "ViT-B-32"), ("ViT-B-32", "imagenet", "openai")):
        with pytest.raises(UnknownName) as caught:
            camviz.load(f"open_clip:{spec}", weights=weights)
        assert hint in caught.value.hint
