"""Maps that vary no more than those of shuffled weights are marked; nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import camviz
from camviz.engine.map_checks import variation, why_weak
from camviz.engine.randomize import randomized
from camviz.types import Model, Preprocessing
from tests.helpers.modules import SIZE, make


def model(name: str = "plain") -> Model:
    return Model(name, make(name), Preprocessing((SIZE, SIZE), SIZE), ("a", "b", "c", "d"))


def test_variation_is_between_the_extremes():
    assert variation(np.float32([[-1, 3], [np.nan, 2]])) == 4
    assert variation(np.float32([[7, 7]])) == 0
    assert variation(np.float32([[np.nan]])) == 0


def test_weak_is_what_varies_no_more_than_noise():
    map = np.float32([[-1, 3]])
    assert why_weak(map, 3.9) == ""
    assert "4" in why_weak(map, 4.0)
    assert "0" in why_weak(np.float32([[5, 5]]), 0.0), "a constant map is weak, however strong"


def test_the_floor_is_the_variation_of_the_map_of_the_shuffled_twin(pixels):
    module = model()
    [plain] = camviz.explain(module, pixels(), target="b")
    [marked] = camviz.explain(module, pixels(), target="b", floor=True)
    [noise] = camviz.explain(randomized(module), pixels(), target="b")
    np.testing.assert_array_equal(plain.values, marked.values)
    assert "floor" not in plain.facts
    assert marked.facts["floor"] > 0
    assert (marked.facts.get("weak") is not None) == (variation(marked.values) <= marked.facts["floor"])
    assert noise.values.shape == marked.values.shape


def test_a_model_that_learned_nothing_gives_weak_maps_the_demo_does_not():
    trained = camviz.explain("demo", sample(), floor=True)
    assert not any("weak" in one.facts for one in trained)
    flat = camviz.load("demo", weights="none")
    torch.nn.init.constant_(flat.module.classifier[1].weight, 0)
    [one] = camviz.explain(flat, sample(), floor=True)
    assert "weak" in one.facts
    assert one.facts["note"].startswith("blank"), "the more serious reason stands"


def sample() -> str:
    from camviz.demo import sample_folder

    return str(sample_folder() / "star_and_ring.jpg")


def test_every_map_of_an_image_has_a_floor(pixels):
    found = camviz.explain(
        model(), [pixels(), pixels(seed=1)], method=["gradcam", "eigencam", "gradient"], target=["a", "b"], floor=True
    )
    assert len(found) == 12
    assert all(one.facts["floor"] > 0 for one in found)


@pytest.mark.parametrize("name", ["vit", "residual"])
def test_the_model_itself_stays_as_it_is(name, pixels):
    module = model(name)
    before = {key: value.clone() for key, value in module.module.state_dict().items()}
    camviz.explain(module, pixels(), floor=True)
    for key, value in module.module.state_dict().items():
        assert torch.equal(before[key], value)
