"""Several models, methods and layers asked about the same images."""

from __future__ import annotations

import numpy as np
import pytest

import camviz
from camviz.comparison.compare import distinct
from camviz.errors import RequestError
from camviz.types import Model, Preprocessing
from tests.helpers.modules import make

LABELS = ("ant", "bee", "cat", "dog")


def model(seed: int, labels=LABELS, side: int = 32, **more) -> Model:
    return Model(f"net{seed}", make("plain", seed), Preprocessing((side, side), side, **more), labels)


def top(module: Model, pixels) -> tuple[str, float]:
    [found] = camviz.explain(module, pixels)
    return found.target, found.probability


def test_all_explain_the_class_that_the_first_predicts_by_its_name(pixels):
    first, second = model(0), model(1, LABELS[::-1], 64)
    [found] = camviz.compare(pixels(), [first, second])
    label, sure = top(first, pixels())
    assert [side.map.target for side in found.sides] == [label, label]
    assert [side.map.index for side in found.sides] == [LABELS.index(label), 3 - LABELS.index(label)]
    assert (found.sides[0].prediction, found.sides[0].probability) == (label, sure)
    assert (found.sides[1].prediction, found.sides[1].probability) == top(second, pixels())
    assert [side.name for side in found.sides] == ["net0", "net1"]


def test_the_maps_are_those_of_explain(pixels):
    first, second = model(0), model(1)
    [found] = camviz.compare(pixels(), [first, second], target="cat", method="hirescam")
    for side, module in zip(found.sides, (first, second), strict=True):
        [alone] = camviz.explain(module, pixels(), target="cat", method="hirescam")
        np.testing.assert_array_equal(side.map.values, alone.values)


def test_a_class_the_other_does_not_have_leaves_it_its_own(pixels):
    first, second = model(0), model(1, ("w", "x", "y", "z"))
    [found] = camviz.compare(pixels(), [first, second])
    assert found.sides[1].map.target == found.sides[1].prediction
    assert found.note


def test_without_names_the_index_counts(pixels):
    first, second = model(0), model(1, ())
    [found] = camviz.compare(pixels(), [first, second])
    assert found.sides[0].map.index == found.sides[1].map.index


def test_targets_are_questions_each_with_a_comparison(pixels):
    found = camviz.compare([pixels(), pixels(seed=1)], [model(0), model(1)], target=["ant", "bee"])
    assert [one.target for one in found] == ["ant", "bee"] * 2
    own = camviz.compare(pixels(), [model(0), model(1)], target="top1")[0]
    assert [side.map.target for side in own.sides] == [top(model(0), pixels())[0], top(model(1), pixels())[0]]


def test_methods_and_layers_of_one_model(pixels):
    [found] = camviz.compare(pixels(), model(0), method=["gradcam", "layercam", "eigencam"])
    assert [side.name for side in found.sides] == ["gradcam", "layercam", "eigencam"]
    assert found.look.scale == "image", "they have other units"
    [found] = camviz.compare(pixels(), model(0), layer=["features.2", "features.4"], names=["one"])
    assert [side.name for side in found.sides] == ["features.2", "features.4"]
    [found] = camviz.compare(pixels(), [model(0), model(1)], method=["gradcam", "layercam"])
    assert [side.name for side in found.sides] == ["net0 gradcam", "net0 layercam", "net1 gradcam", "net1 layercam"]
    assert found.look.scale == "row"


def test_too_many_or_too_few_are_refused(pixels):
    with pytest.raises(RequestError):
        camviz.compare(pixels(), model(0))
    with pytest.raises(RequestError):
        camviz.compare(pixels(), model(0), method="gradients")
    with pytest.raises(RequestError, match="1 names for 2 models"):
        camviz.compare(pixels(), [model(0), model(1)], names=["a"])


def test_names_are_told_apart():
    assert distinct(["a", "b", "a"]) == ["a 1", "b", "a 2"]
