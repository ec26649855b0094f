"""Semantic segmentation: which region is meant, and what its score is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import camviz
from camviz.engine.explain import Explainer
from camviz.errors import InputError, RequestError, UnknownName
from camviz.models.layers import default_layer
from camviz.models.preprocess import prepare
from camviz.models.survey import survey
from camviz.types import Image, Model, Preprocessing, Request
from tests.helpers.inputs import random_images
from tests.helpers.segments import LABELS, ROW, WHOLE, chosen, scores, task
from tests.methods.test_methods import ATTENTION, QUICK


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("top1", ("top1", 0, None, None)),
        ("dog", ("dog", None, 2, None)),
        ("cat vs dog", ("cat-vs-dog", None, 1, None)),
        ("point:3,1", ("point3-1", None, None, (3.0, 1.0))),
        ("point: 3.5 , 1", ("point-3.5-1", None, None, (3.5, 1.0))),
        ("dog@point:3,1", ("dog-point3-1", None, 2, (3.0, 1.0))),
    ],
)
def test_what_a_target_means(text, expected):
    [wanted] = task().parse([text])
    assert (wanted.facet, wanted.rank, wanted.index, wanted.point) == expected


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("point:3", RequestError, "two coordinates"),
        ("point:-1,2", RequestError, "two coordinates"),
        ("mask:nothing.png", RequestError, "no mask file 'nothing.png'"),
        ("horse", UnknownName, "no class 'horse'"),
        ("horse@point:1,1", UnknownName, "no class 'horse'"),
        ("top1@point:1,1", RequestError, "top1@point:1,1"),
    ],
)
def test_a_target_that_means_nothing(text, error, message):
    with pytest.raises(error) as caught:
        task().parse([text])
    assert message in caught.value.message
    assert caught.value.hint


def test_the_mean_of_a_class_where_it_is_predicted():
    target = chosen("cat")  # at places 2, 3 and 6: 3 + (2 + 3 + 6) / 3
    assert float(target.read(ROW)) == pytest.approx(3 + 11 / 3)
    assert float(target.read(torch.stack([ROW, 2 * ROW]))[1]) == pytest.approx(2 * (3 + 11 / 3))
    expected = np.exp([5, 6, 9]) / (np.exp([5, 6, 9]) + 2)
    assert target.probability == pytest.approx(expected.mean(), rel=1e-5)
    assert float(chosen("cat", score="prob").read(ROW)) == pytest.approx(expected.mean(), rel=1e-5)
    [mark] = target.marks
    assert mark.region.tolist() == [[False, False, True, True], [False, False, True, False]]
    assert target.facts == {"region": 3 / 8}


def test_the_largest_class_is_not_the_background():
    assert [chosen(f"top{rank}").label for rank in (1,)] == ["cat"]
    asked = task()
    assert [asked.choose(one, ROW, WHOLE)[0].label for one in asked.parse(["top2"])] == ["cat", "dog"]
    assert chosen("top1", scores([[0, 0], [0, 0]])).label == "background"
    with pytest.raises(InputError, match=r"no class of rank 3: .*'background' 50%, 'cat' 38%, 'dog' 12%"):
        asked.choose(asked.parse(["top3"])[2], ROW, WHOLE)


def test_a_class_that_is_not_predicted_names_those_that_are():
    with pytest.raises(InputError) as caught:
        chosen("dog", scores([[0, 0], [1, 0]]))
    assert caught.value.message == "'dog' is predicted nowhere; predicted are 'background' 75%, 'cat' 25%"
    assert "point:X,Y" in caught.value.hint


# places: the image is 8×4, the output 4×2, so each place covers four pixels


# outputs


def test_one_logit_at_every_place_is_a_class_and_its_background():
    given = torch.tensor([[[[-2.0, 3.0]]]])
    [row] = task().rows(given, 1)
    assert row.argmax(0).tolist() == [[0, 1]]
    torch.testing.assert_close(row.softmax(0)[1], given[0, 0].sigmoid())
    torch.testing.assert_close(row[1] - row[0], given[0, 0])


def test_queries_with_classes_and_masks_add_up():
    classes = torch.tensor([[[2.0, 0, 1], [0, 1, 0]]])  # two queries, two classes and "nothing"
    masks = torch.tensor([[[[5.0, -5]], [[-1, 1]]]])
    [row] = task().rows({"class_queries_logits": classes, "masks_queries_logits": masks}, 1)
    likely, shown = classes[0].softmax(-1)[:, :2], masks[0].sigmoid()
    expected = torch.stack([sum(likely[q, c] * shown[q] for q in range(2)) for c in range(2)])
    torch.testing.assert_close(row, expected)


# models


class UNet(nn.Module):
    """Down, across, up again, with a connection beside; the default layer is the one across."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
        self.across = nn.Sequential(nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU())
        self.up = nn.ConvTranspose2d(8, 6, 2, 2)
        self.head = nn.ConvTranspose2d(12, classes, 2, 2)

    def forward(self, x):
        fine = self.down(x)
        return self.head(torch.cat([fine, self.up(self.across(fine))], 1))


def unet() -> Model:
    torch.manual_seed(0)
    return Model("unet", UNet().eval(), Preprocessing((32, 32), 32), LABELS)


def test_the_default_layer_is_the_last_of_the_coarsest_grid():
    asked = unet()
    assert default_layer(asked, survey(asked.module, (32, 32))).path == "across"


def test_a_map_and_its_marks_by_hand():
    asked = unet()
    image = random_images(1)[0]
    [found] = camviz.explain(asked, image)
    values, _ = prepare(Image(image), asked.preprocessing)
    fine = asked.module.down(torch.from_numpy(values)[None])
    maps = asked.module.across(fine).detach().requires_grad_()
    output = asked.module.head(torch.cat([fine, asked.module.up(maps)], 1))[0]
    predicted = output.argmax(0)
    counts = torch.bincount(predicted.ravel(), minlength=3)[1:]
    index = int(counts.argmax()) + 1
    (gradient,) = torch.autograd.grad(output[index][predicted == index].mean(), maps)
    np.testing.assert_allclose(found.values, (gradient * maps).sum(1)[0].detach().numpy(), rtol=1e-4, atol=1e-6)
    assert (found.target, found.method) == (LABELS[index], "hirescam")
    np.testing.assert_array_equal(found.marks[0].region, (predicted == index).numpy())


def test_a_batch_equals_single_images():
    images = random_images(3)
    together = camviz.explain(unet(), images, target=["top1", "point:20,10"])
    alone = [one for image in images for one in camviz.explain(unet(), image, target=["top1", "point:20,10"])]
    for a, b in zip(together, alone, strict=True):
        assert (a.target, a.facets) == (b.target, b.facets)
        np.testing.assert_allclose(a.values, b.values, rtol=1e-4, atol=1e-7)


def test_every_method_gives_a_map_or_says_why_not():
    settings = {f"{method}.{key}": value for method, more in QUICK.items() for key, value in more.items()}
    asked = unet()
    job = Request(methods=("all",), settings=tuple((key, str(value)) for key, value in settings.items()))
    explainer = Explainer(asked, job)
    image = Image(random_images(1)[0])
    values, view = prepare(image, asked.preprocessing)
    [maps] = explainer([image], [values], [view])
    assert set(explainer.skipped) == {"cam", "finercam", "drise", *ATTENTION}
    assert all(np.isfinite(one.values).all() for one in maps)


def test_scores_of_a_quarter_of_the_size_are_placed_right():
    class Quarter(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 4, 4)

        def forward(self, x):
            return {"logits": F.avg_pool2d(self.conv(x), 1)}

    torch.manual_seed(0)
    model = Model("quarter", Quarter(), Preprocessing((32, 32), 32), ("background", "cat"))
    [found] = camviz.explain(model, random_images(1, size=(32, 32))[0], target="cat@point:31,0", layer="conv")
    assert np.argwhere(found.values).tolist() == [[0, 7]]
