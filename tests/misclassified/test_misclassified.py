"""What is true, what was said, and the smallest region that turns it, on a model that can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from camviz.engine.explain import Explainer
from camviz.errors import InputError, RequestError
from camviz.misclassified import Known, answers, class_named, explained, read_table, smallest_region
from camviz.types import Image, Job, Model, Preprocessing, View

LABELS = ("left", "right")


class Halves(nn.Module):
    """Scores: the sum of the left half of the red channel, and that of the right half."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.zeros_(self.conv.weight)
        nn.init.ones_(self.conv.weight[:, :1])

    def forward(self, x):
        seen = self.conv(x)
        return torch.stack([seen[..., :10].sum((1, 2, 3)), seen[..., 10:].sum((1, 2, 3))], 1)


@pytest.fixture
def explainer():
    how = Preprocessing((20, 20), 20, (0.0,) * 3, (1.0,) * 3)
    return Explainer(Model("halves", Halves().eval(), how, LABELS), Job(methods=("hirescam",)))


def values(left: float, right: float) -> np.ndarray:
    made = np.zeros((3, 20, 20), np.float32)
    made[0, :, :10], made[0, :, 10:] = left, right
    return made


def test_the_smallest_region_is_as_many_of_the_hottest_as_are_needed(explainer):
    """Left scores 200 · 1, right 200 · 0.75: 50 pixels gone is a draw, for the first; so 51."""
    map = values(1, 0)[0]
    region, becomes = smallest_region(explainer, values(1, 0.75), map, 0)
    assert becomes == 1
    assert region.sum() == 51
    assert not region[:, 10:].any()


def test_pixels_go_in_the_order_of_the_map(explainer):
    map = np.arange(400, dtype=np.float32).reshape(20, 20)
    map[:, 10:] = -1
    region, _ = smallest_region(explainer, values(1, 0.75), map, 0)
    assert region[19, 9]
    assert not region[0, 0]


def test_pixels_that_a_map_knows_nothing_of_go_last(explainer):
    map = np.full((20, 20), np.nan, np.float32)
    map[:, :14] = np.linspace(1, 2, 14)
    region, _ = smallest_region(explainer, values(1, 0.75), map, 0)
    assert region[:, 12].all()
    assert not region[:, 14:].any()


def test_an_answer_that_never_turns(explainer):
    """Without any pixel both scores are zero: the first class, still."""
    assert smallest_region(explainer, values(1, 0), values(1, 0)[0], 0) is None


def test_answers(explainer):
    first, second = answers(explainer, [values(0.01, 0), values(0, 0.01)], [0, 0])
    assert (first.predicted, first.right) == (0, True)
    assert (second.predicted, second.right) == (1, False)
    sure = 1 / (1 + np.exp(-2))  # of the logits 2 and 0
    assert (second.probability, second.true_probability) == pytest.approx((sure, 1 - sure))
    with pytest.raises(InputError, match="class 5"):
        answers(explainer, [values(1, 0)], [5])


def test_three_maps_and_what_turns_the_answer(explainer):
    image = Image(np.zeros((20, 20, 3), np.uint8))
    [answer] = answers(explainer, [values(1, 0.75)], [1])
    made = explained(explainer, image, values(1, 0.75), View((20, 20), (0, 0, 20, 20), (20, 20)), answer)
    said, true, contrast = made
    assert [one.target for one in made] == ["left", "right", "left vs right"]
    np.testing.assert_allclose(contrast.values, said.values - true.values, atol=1e-6)
    assert said.facts["removal"]["becomes"] == "right"
    assert said.facts["removal"]["share"] == pytest.approx(51 / 400, abs=0.003)
    assert said.marks[0].region.sum() in (51, 52)
    made = explained(explainer, image, values(1, 0.75), made[0].view, answer, removal=False)
    assert not made[0].marks


@pytest.mark.parametrize(
    ("text", "index"),
    [
        *[("tabby cat", 0), ("Tabby_Cat", 0), ("tabby-cat", 0), ("1", 1)],
        *[("lynx", 1), ("9", None), ("dog", None), ("cat", None)],
    ],
)
def test_names_of_classes(text, index):
    assert class_named(text, ("tabby cat", "lynx, catamount")) == index
    assert class_named("7", ()) == 7


def test_the_folder_says_what_is_true():
    known = Known(LABELS)
    assert known.index(Path("photos/right/1.png")) == 1
    with pytest.raises(InputError, match="'up' is no class"):
        known.index(Path("photos/up/1.png"))


def test_a_table_says_what_is_true(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("label,size,image\nright,3,a.png\nleft,4,b.png\n")
    assert read_table(path) == {"a.png": "right", "b.png": "left"}
    path.write_text("image,of what\na.png,right\n")  # a head that is half known: the first two columns
    assert read_table(path)["a.png"] == "right"
    path.write_text("a.png,right\nsub/b.png,left\n")
    known = Known(LABELS, read_table(path))
    assert known.index(Path("x/a.png")) == 1
    assert known.index(Path("sub/b.png")) == 0
    assert known.index(Path("/photos/sub/b.png")) == 0
    with pytest.raises(InputError, match="not in the table"):
        known.index(Path("c.png"))
    for text in ("", "only one column\n"):
        path.write_text(text)
        with pytest.raises(RequestError, match="no table of labels"):
            read_table(path)
    with pytest.raises(RequestError, match="none\\.csv"):
        read_table(tmp_path / "none.csv")
