"""Embeddings: similarity to an image or a text, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import camviz
from camviz.errors import ModelError, RequestError, UnknownName
from camviz.tasks import References
from camviz.tasks.embedding import Embedding
from tests.helpers.inputs import random_images
from tests.helpers.means import WHOLE, Means, loaded


def test_likeness_to_a_image_is_the_cosine(tmp_path):
    module = Means([[2.0, -1.0], [0.5, 3.0], [1.0, 1.0]])
    [one, other] = random_images(2)
    Image.fromarray(np.asarray(other)).save(tmp_path / "other.png")
    model = loaded(module)
    rows = [
        module(torch.from_numpy(np.asarray(p).astype(np.float32) / 255).permute(2, 0, 1)[None]) for p in (one, other)
    ]
    [found] = camviz.explain(model, one, target=f"similar:{tmp_path / 'other.png'}")
    assert found.target == "similarity to other.png"
    assert found.score == pytest.approx(float(torch.cosine_similarity(*rows)), rel=1e-5)
    [same] = camviz.explain(model, other, target=f"similar:{tmp_path / 'other.png'}")
    assert same.score == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(same.values, 0, atol=1e-7)  # nothing raises a cosine of one


@pytest.mark.parametrize("fit", ["model", "squash", "whole"])
def test_the_other_image_is_seen_as_the_first_is(tmp_path, fit):
    """An image is like itself, also where it is not seen through the model's own crop."""
    wide = np.random.default_rng(0).integers(0, 255, (32, 64, 3), np.uint8)
    wide[:, :16] = (255, 0, 0)  # what the crop in the middle leaves out
    Image.fromarray(wide).save(tmp_path / "wide.png")
    model = loaded(Means([[2.0, -1.0], [0.5, 3.0], [1.0, 1.0]]))
    [same] = camviz.explain(model, wide, target=f"similar:{tmp_path / 'wide.png'}", fit=fit)
    assert same.score == pytest.approx(1, rel=1e-5)


def test_words_need_a_model_that_knows_them():
    task = Embedding("net")
    wanted = task.parse(["text:a red car"])
    assert wanted[0].facet == "text-a-red-car"
    with pytest.raises(ModelError, match="text:a red car"):
        task.complete(wanted, References(lambda path: torch.ones(3)))
    [known] = task.complete(wanted, References(lambda path: None, lambda text: torch.tensor([0.0, 2.0])))
    [target] = task.choose(known, torch.tensor([3.0, 4.0]), WHOLE)
    assert float(target.read(torch.tensor([3.0, 4.0]))) == pytest.approx(0.8)
    assert target.label == "similarity to “a red car”"


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("", RequestError, "--target"),
        ("cat", UnknownName, "no target 'cat'"),
        ("similar:no.jpg", RequestError, r"'no\.jpg'"),
    ],
)
def test_what_an_embedding_cannot_be_asked(text, error, words):
    with pytest.raises(error, match=words):
        Embedding("net").parse([text])
