"""Regression and a single logit: targets, scores and maps by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import camviz
from camviz.errors import UnknownName
from camviz.tasks.regression import Binary, Regression
from tests.helpers.inputs import random_images
from tests.helpers.means import WHOLE, Means, gradcam_by_hand, loaded


@pytest.mark.parametrize("flat", [False, True])
def test_regression_is_recognized_and_its_sign_is_the_askers(flat):
    module = Means([[2.0, -1.0]], flat)
    up, down = camviz.explain(loaded(module), random_images(1), target=["output:0", "-output:0"])
    np.testing.assert_allclose(up.values, gradcam_by_hand(module, 0), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(down.values, -up.values)
    assert (up.target, down.target) == ("output 0", "-output 0")
    assert up.score == pytest.approx(-down.score)
    assert up.probability is None
    assert (up.facets, down.facets) == (("output0",), ("minus-output0",))


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
