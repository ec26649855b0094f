"""Concepts: what is factorized, how important a concept is, and whether two halves of the images agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from camviz.errors import InputError, ModelError, RequestError
from camviz.feature_maps.visualization.concepts import ConceptFinder, assign, find_bank, interval, windows
from camviz.methods.factorization import coefficients, factorize
from camviz.types import Model, Preprocessing, Request, View

VIEW = View((8, 8), (0, 0, 8, 8), (8, 8))
HEAD = [[2.0, -1.0], [0.0, 3.0]]  # of two classes: the weight of either channel


@pytest.fixture
def finder():
    """`finder(target)`: a model whose two channels are the positive parts of the two channels of its input."""

    def build(*targets: str, **request) -> ConceptFinder:
        module = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        module.append(nn.Linear(2, 2))
        with torch.no_grad():
            module[0].weight.copy_(torch.eye(2)[..., None, None])
            module[4].weight.copy_(torch.tensor(HEAD))
            module[4].bias.copy_(torch.tensor([0.5, 0.0]))
        how = Preprocessing((8, 8), 8, mean=(0.0, 0.0), std=(1.0, 1.0))
        model = Model("two", module.eval(), how, labels=("a", "b"), task="classification")
        return ConceptFinder(model, Request(targets=targets, layers=("1",), **request))

    return build


def image(first: float, second: float) -> np.ndarray:
    """An input whose left half is `first` in channel 0 and whose right half is `second` in channel 1."""
    values = np.zeros((2, 8, 8), np.float32)
    values[0, :, :4], values[1, :, 4:] = first, second
    return values


def test_a_factorization_finds_the_parts_of_a_sum():
    parts = torch.tensor([[1.0, 0, 2, 0], [0, 3, 0, 1]])
    weights = torch.tensor([[1.0, 0], [0, 1], [2, 0], [0, 3], [1, 0.0]])
    w, h = factorize((weights @ parts)[None], 2, 100)
    assert torch.allclose(w[0] @ h[0], weights @ parts, atol=1e-4)
    directions = h[0] / h[0].norm(dim=1, keepdim=True)
    expected = parts / parts.norm(dim=1, keepdim=True)
    assert torch.allclose(directions @ expected.T, torch.tensor([[0.0, 1], [1, 0]]), atol=1e-3)


def test_coefficients_by_hand():
    # the second row is nearest to 0 of the first direction: its projection there is negative
    rows = torch.tensor([[[3.0, 4.0], [-1.0, 2.0]]])
    assert torch.allclose(coefficients(rows, torch.eye(2)), torch.tensor([[[3.0, 4.0], [0.0, 2.0]]]))
    skew = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    assert torch.allclose(coefficients(rows[:, :1], skew), torch.tensor([[[0.0, 5.0]]]), atol=1e-4)


def test_the_crops_cover_the_input():
    boxes = windows(20, 10)
    covered = np.zeros((20, 10), int)
    for left, top, right, bottom in boxes:
        assert (right - left, bottom - top) == (3, 6)
        covered[top:bottom, left:right] += 1
    assert len(boxes) == 16
    assert covered.min() > 0
    assert boxes[1][1] == boxes[0][1] < boxes[4][1]


def test_pairs_are_the_most_similar_first():
    similarity = np.array([[0.9, 0.8], [0.95, 0.1], [0.2, 0.3]], np.float32)
    assert assign(similarity) == [1, 0, None]


def test_two_halves_of_the_images_agree_or_do_not():
    first, second = np.array([[1, 0, 0], [0, 1, 0]], np.float32), np.array([[1, 0, 0], [0, 0, 1]], np.float32)
    bank = find_bank([first, 2 * first, first, 3 * first], 2)
    assert bank.matches == pytest.approx([1, 1], abs=1e-3)
    assert bank.apart == pytest.approx(0, abs=1e-3)
    assert bank.weights.shape == (4, 2, 2)
    bank = find_bank([4 * first, second, 4 * first, second], 2)
    assert sorted(bank.matches) == pytest.approx([0, 1], abs=0.05)
    assert np.isnan(find_bank([first], 2).matches).all()


def test_no_more_concepts_than_there_are():
    assert len(find_bank([np.array([[1, 2], [2, 4]], np.float32)], 5).concepts) == 1
    with pytest.raises(ModelError, match="layer 'x'"):
        find_bank([np.zeros((4, 2), np.float32)], 2, "x")


def test_importance_is_the_drop_without_the_concept(finder):
    # half of the positions have 6 in channel 0, half 4 in channel 1: means 3 and 2, class a: 2·3 - 1·2 + 0.5
    inputs = [image(6, 4), image(2, 0)]
    first, second = finder("a").measure(inputs, [VIEW] * 2, np.eye(2, dtype=np.float32))
    assert first.drops == pytest.approx([6, -2, 4], abs=1e-4)
    assert second.drops == pytest.approx([2, 0, 2], abs=1e-4)
    assert first.explained == pytest.approx(1)
    assert first.maps[0].tolist() == inputs[0][0].tolist()
    assert first.target.label == "a"


def test_what_no_concept_explains_stays(finder):
    [only] = finder("b").measure([image(6, 4)], [VIEW], np.array([[1, 0]], np.float32))
    assert only.drops == pytest.approx([0, 0], abs=1e-4)
    assert only.explained == pytest.approx(36 / (36 + 16))


def test_not_finite_activations_fail_their_image_alone(finder):
    bad = image(6, 4)
    bad[0, 0, 0] = np.nan
    results = finder("a").measure([bad, image(2, 2)], [VIEW] * 2, np.eye(2, dtype=np.float32))
    assert [isinstance(each, InputError) for each in results] == [True, False]


def test_crops_are_mean_activations_and_the_predicted_class(finder):
    [(pooled, predicted)] = finder("a").crops([image(6, 0)], [VIEW])
    assert pooled.shape == (16, 2)
    assert pooled[0].tolist() == [6, 0]  # of the left edge
    assert pooled[3].tolist() == [0, 0]
    assert predicted == 0


def test_the_class_is_the_one_predicted_most_often(finder):
    found = finder()
    assert found.choose([1, 0, 1, None]) == [0, 2]
    assert found.wanted.index == 1
    assert finder("a").choose([1, 0, 1]) == [1]
    assert finder("a").choose([1, 1]) == [0, 1]  # none of the class: all of them


def test_an_interval_narrows_with_the_images():
    assert interval([2.0, 2.0, 2.0]) == (2, 2)
    low, high = interval([0.0, 1.0] * 50)
    assert 0.35 < low < 0.45 < 0.55 < high < 0.65
    assert all(np.isnan(interval([1.0])))


@pytest.mark.parametrize(("targets", "layers"), [(("a", "b"), ("1",)), (("a",), ("0", "1"))])
def test_one_class_and_one_layer(finder, targets, layers):
    model = finder("a").model
    with pytest.raises(RequestError, match="concepts are of one"):
        ConceptFinder(model, Request(targets=targets, layers=layers))
