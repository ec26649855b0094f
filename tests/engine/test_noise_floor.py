"""Evidence in units of the noise floor, by hand; maps of models that learned nothing are weak, those of others not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import camviz
from camviz.engine.arguments import request_of
from camviz.engine.explain import Explainer
from camviz.engine.noise_floor import NoiseFloor, why_weak
from camviz.types import Image, Model, Preprocessing, Target, View
from tests.helpers.modules import SIZE, make


def model(name: str = "plain") -> Model:
    return Model(name, make(name), Preprocessing((SIZE, SIZE), SIZE), ("a", "b", "c", "d"))


def target(index: int = 0) -> Target:
    return Target("a", lambda row: row[..., index], index=index)


class Fixed(NoiseFloor):
    """A noise floor with these rows instead of those of a model."""

    def __init__(self, *rows: torch.Tensor) -> None:
        self.__dict__["rows"] = rows


def test_evidence_by_hand():
    """Reference means (0, 2, 4) have a standard deviation of 2; rises are (9, 0, 0), and 9 - 3 = 6 = 3 × 2."""
    floor = Fixed(torch.tensor([[-1.0, 2, 4], [1.0, 2, 4]]))
    assert floor.evidence(target(), torch.tensor([9.0, 2, 4])) == pytest.approx(3)
    assert floor.evidence(target(1), torch.tensor([9.0, 2, 4])) == pytest.approx(-1.5)
    # a second kind on which class 0 has the same score: the first counts
    both = Fixed(torch.tensor([[0.0, 2, 4]]), torch.tensor([[9.0, 2, 4]]))
    assert both.evidence(target(), torch.tensor([9.0, 2, 4])) == pytest.approx(3)


def test_evidence_does_not_depend_on_the_scale_of_the_scores():
    references, row = torch.randn(5, 4), torch.randn(4)
    evidence = Fixed(references).evidence(target(), row)
    assert Fixed(7 * references + 3).evidence(target(), 7 * row + 3) == pytest.approx(evidence, rel=1e-4)


def test_evidence_over_a_region_by_hand():
    """The mean over the left column: (9, 2, 4) as above; references are averaged over all positions."""
    row = torch.tensor([[[9.0, 50]], [[2.0, 50]], [[4.0, 50]]])
    references = torch.tensor([[[[-1.0, 1]], [[2.0, 2]], [[3.0, 5]]]])
    left = Target("a", lambda row: row[0, :, 0].mean(), index=0)
    assert Fixed(references).evidence(left, row) == pytest.approx(3)


def test_scores_without_classes_have_no_evidence():
    floor = Fixed(torch.ones(2, 3))
    assert floor.evidence(Target("x", lambda row: row[0]), torch.ones(3)) is None
    assert floor.evidence(target(), [1, 2]) is None
    assert Fixed().evidence(target(), torch.ones(3)) is None


def test_dead_scores_have_no_evidence():
    assert Fixed(torch.zeros(2, 3)).evidence(target(), torch.zeros(3)) == 0


def test_what_is_weak():
    saliency_map = np.float32([[-1, 3]])
    assert why_weak(saliency_map, "cat", 1.2) == ""
    assert why_weak(saliency_map, "cat", None) == ""
    assert "'cat' is 0.4 ×" in why_weak(saliency_map, "cat", 0.4)
    assert why_weak(np.float32([[5, 5]]), "cat", 9.0), "a constant map is weak, however strong"
    assert why_weak(saliency_map, "cat", 9.0, "no layer was trained").endswith("no layer was trained")


def test_the_map_stays_the_same_and_the_floor_is_computed_once(pixels):
    asked = model()
    explainer = Explainer(asked, request_of(target=["a", "b"], method=["gradcam", "eigencam"], floor=True))
    runs = []
    handle = asked.module.register_forward_hook(lambda _module, args, _output: runs.append(len(args[0])))
    batch = [np.float32(np.random.default_rng(seed).random((3, SIZE, SIZE))) for seed in range(2)]
    for _ in range(2):
        explainer(
            [Image(np.zeros((SIZE, SIZE, 3), np.uint8))] * 2,
            batch,
            [View((SIZE, SIZE), (0, 0, SIZE, SIZE), (SIZE, SIZE))] * 2,
        )
    handle.remove()
    assert (runs.count(4), runs.count(8)) == (1, 1), "each kind of reference images once for both batches"
    [plain] = camviz.explain(asked, pixels(), target="b")
    [marked] = camviz.explain(asked, pixels(), target="b", floor=True)
    np.testing.assert_array_equal(plain.values, marked.values)
    assert "evidence" in marked.facts
    assert not {"evidence", "weak"} & plain.facts.keys()


def samples() -> list[str]:
    from camviz.demo import sample_folder

    return [str(path) for path in sorted(sample_folder().glob("*.jpg"))]


def weak(asked: Model, images: list[str]) -> int:
    return sum("weak" in one.facts for one in camviz.explain(asked, images, floor=True))


def test_maps_of_trained_weights_are_not_weak_those_of_untrained_and_dead_ones_are():
    assert weak(camviz.load("demo"), samples()) == 0
    assert weak(camviz.load("demo", weights="none"), samples()) == len(samples())
    dead = camviz.load("demo")
    with torch.no_grad():
        for parameter in dead.module.parameters():
            parameter.zero_()
    assert weak(dead, samples()) == len(samples())


def test_a_constant_map_keeps_its_more_serious_note():
    flat = camviz.load("demo", weights="none")
    nn.init.constant_(flat.module.classifier[1].weight, 0)
    [one] = camviz.explain(flat, samples()[0], floor=True)
    assert "weak" in one.facts
    assert one.facts["note"].startswith("blank")


@pytest.mark.parametrize("name", ["vit", "residual"])
def test_the_model_itself_stays_unchanged(name, pixels):
    asked = model(name)
    before = {key: value.clone() for key, value in asked.module.state_dict().items()}
    camviz.explain(asked, pixels(), floor=True)
    for key, value in asked.module.state_dict().items():
        assert torch.equal(before[key], value)
