"""Regression, a single logit, several labels, embeddings: targets, scores and maps by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import camviz
from camviz.errors import InputError, ModelError, RequestError, UnknownName
from camviz.tasks import References
from camviz.tasks.embedding import Embedding
from camviz.tasks.multilabel import MultiLabel
from camviz.tasks.regression import Binary, Regression
from camviz.types import View
from tests.helpers.inputs import random_images

WHOLE = View((32, 32), (0, 0, 32, 32), (32, 32))


class Means(nn.Module):
    """Gives weighted means of its first convolution's maps, so every gradient is known: W[o, k] / positions."""

    def __init__(self, weights: list[list[float]], flat: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 8, stride=8, bias=False)
        self.weights = nn.Parameter(torch.tensor(weights))
        self.flat = flat

    def forward(self, x):
        out = self.conv(x).mean((2, 3)) @ self.weights.T
        return out[:, 0] if self.flat else out


def gradcam_by_hand(module: Means, index: int) -> np.ndarray:
    [found] = random_images(1)
    x = torch.from_numpy(np.asarray(found).astype(np.float32) / 255).permute(2, 0, 1)[None]
    maps = module.conv(x).detach()
    return (module.weights[index][:, None, None] * maps[0]).sum(0).detach().numpy() / maps[0, 0].numel()


def loaded(module: nn.Module, **more):
    return camviz.load(module, input_size=(32, 32), mean=(0.0,) * 3, std=(1.0,) * 3, **more)


@pytest.mark.parametrize("flat", [False, True])
def test_regression_is_recognized_and_its_sign_is_the_askers(flat):
    module = Means([[2.0, -1.0]], flat)
    up, down = camviz.explain(loaded(module), random_images(1), target=["output:0", "-output:0"])
    np.testing.assert_allclose(up.values, gradcam_by_hand(module, 0), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(down.values, -up.values)
    assert (up.target, down.target) == ("output 0", "-output 0")
    assert up.score == pytest.approx(-down.score)
    assert up.probability is None
    assert (up.facets, down.facets) == (("output0",), ("minus_output0",))


def test_the_default_of_a_regression_is_its_first_output():
    module = Means([[2.0, -1.0]])
    [found] = camviz.explain(loaded(module), random_images(1))
    assert found.target == "output 0"


def test_one_of_several_outputs_as_a_number():
    module = Means([[2.0, -1.0], [0.5, 3.0], [1.0, 1.0]])
    [found] = camviz.explain(loaded(module), random_images(1), target="output:1")
    np.testing.assert_allclose(found.values, gradcam_by_hand(module, 1), rtol=1e-4, atol=1e-7)
    with pytest.raises(UnknownName, match="no output 3"):
        camviz.explain(loaded(module), random_images(1), target="output:3")


def test_named_outputs_are_called_by_their_names():
    task = Regression("net", ("age", "height"))
    [wanted] = task.parse(["height"])
    [target] = task.choose(wanted, torch.tensor([3.0, 7.0]), WHOLE)
    assert (target.label, float(target.read(torch.tensor([3.0, 7.0])))) == ("height", 7.0)
    with pytest.raises(UnknownName, match="no target 'weight'") as caught:
        task.parse(["weight"])
    assert "age, height" in caught.value.hint


def test_one_logit_has_two_sides(tmp_path):
    module = Means([[2.0, -1.0]])
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    model = loaded(module, labels=tmp_path / "names.txt")
    likely, cat, dog = camviz.explain(model, random_images(1), target=["top1", "cat", "dog"])
    raw = float(dog.score)
    assert cat.score == pytest.approx(-raw)
    assert likely.target == ("dog" if raw > 0 else "cat")
    assert dog.probability == pytest.approx(1 / (1 + math.exp(-raw)), rel=1e-5)
    assert cat.probability == pytest.approx(1 - dog.probability, rel=1e-5)
    np.testing.assert_allclose(cat.values, -dog.values)


def test_the_probability_of_a_side_is_its_own():
    task = Binary("net", score="prob")
    row = torch.tensor([2.0])
    for text, expected in (("positive", 1 / (1 + math.exp(-2))), ("negative", 1 / (1 + math.exp(2)))):
        [target] = task.choose(task.parse([text])[0], row, WHOLE)
        assert float(target.read(row)) == pytest.approx(expected)
        assert float(target.read(row[None].expand(3, 1))[2]) == pytest.approx(expected)


def test_several_labels_are_not_rivals():
    task = MultiLabel("net", ("cat", "dog", "bird"), min_score=0.5)
    row = torch.tensor([1.0, -3.0, 2.0])
    targets = task.choose(task.parse(["all"])[0], row, WHOLE)
    assert [t.label for t in targets] == ["bird", "cat"]
    assert targets[0].probability == pytest.approx(1 / (1 + math.exp(-2)))
    assert float(targets[1].read(row, "prob")) == pytest.approx(1 / (1 + math.exp(-1)))
    with pytest.raises(InputError, match=r"reaches 0\.5; the likeliest is 'cat' with 0\.27"):
        task.choose(task.parse(["all"])[0], torch.tensor([-1.0, -3.0, -2.0]), WHOLE)


def test_an_image_may_have_several_maps_and_another_none():
    module = Means([[40.0, 0.0], [0.0, 40.0], [-40.0, 0.0]])
    with torch.no_grad():
        module.conv.weight.zero_()
        module.conv.weight[0, 0] = 1 / 64  # the mean of red
        module.conv.weight[1, 1] = 1 / 64  # the mean of green
    both, none = (np.zeros((32, 32, 3), np.uint8) for _ in range(2))
    both[..., :2] = 255
    model = loaded(module, task="multilabel")
    found = camviz.explain(model, both, target="all", min_score=0.9)
    assert [one.index for one in found] == [0, 1]
    assert [one.facets for one in found] == [("all0",), ("all1",)]
    from camviz.engine.explain import Explainer
    from camviz.io.images import as_images
    from camviz.models.preprocess import prepare
    from camviz.types import Job

    explainer = Explainer(model, Job(targets=("all",), min_score=0.9))
    shown = list(as_images([none, both]))
    prepared = [prepare(one, model.preprocessing) for one in shown]
    first, second = explainer(shown, [x for x, _ in prepared], [view for _, view in prepared])
    assert isinstance(first, InputError)
    assert not isinstance(second, InputError)
    for alone, beside in zip(found, second, strict=True):
        np.testing.assert_array_equal(alone.values, beside.values)


def test_likeness_to_a_image_is_the_cosine(tmp_path):
    module = Means([[2.0, -1.0], [0.5, 3.0], [1.0, 1.0]])
    [one, other] = random_images(2)
    Image.fromarray(np.asarray(other)).save(tmp_path / "other.png")
    model = loaded(module)
    rows = [
        module(torch.from_numpy(np.asarray(p).astype(np.float32) / 255).permute(2, 0, 1)[None]) for p in (one, other)
    ]
    [found] = camviz.explain(model, one, target=f"similar:{tmp_path / 'other.png'}")
    assert found.target == "like other.png"
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
    assert wanted[0].facet == "text_a_red_car"
    with pytest.raises(ModelError, match="knows no words"):
        task.complete(wanted, References(lambda path: torch.ones(3)))
    [known] = task.complete(wanted, References(lambda path: None, lambda text: torch.tensor([0.0, 2.0])))
    [target] = task.choose(known, torch.tensor([3.0, 4.0]), WHOLE)
    assert float(target.read(torch.tensor([3.0, 4.0]))) == pytest.approx(0.8)
    assert target.label == "like “a red car”"


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("", RequestError, "like what"),
        ("cat", UnknownName, "no target 'cat'"),
        ("similar:no.jpg", RequestError, r"no image 'no\.jpg'"),
    ],
)
def test_what_an_embedding_cannot_be_asked(text, error, words):
    with pytest.raises(error, match=words):
        Embedding("net").parse([text])
