"""The scene of the first figure: the same every time, every toy to be seen, and the star named by the bundled model."""

import numpy as np
import pytest
from PIL import Image

import camviz
from tests.helpers.documents import ROOT
from tools.demo.toys import TOYS, Toy, _board, draw

SCENE = ROOT / "docs" / "pictures" / "toys.jpg"


@pytest.mark.parametrize("toy", TOYS, ids=lambda toy: toy.kind)
def test_a_toy_stands_on_the_table(toy):
    points = np.random.default_rng(0).uniform(-1.2, 1.2, (200_000, 3)) * (1, 1, 0.4) + (toy.x, toy.height, toy.z)
    inside = points[_board(toy, points.astype(np.float32))[0] < 0]
    assert abs(inside[:, 1].min()) < 0.06
    assert len(inside) > 100


def test_distances_to_a_disc_by_hand():
    disc = Toy("circle", 0, 0, 1, (1, 1, 1), depth=0.2)
    points = np.array([[0, 0, 0], [2, 0, 0], [0, 0, 1], [0.5, 0, 0]], np.float32)
    points[:, 1] += disc.height
    np.testing.assert_allclose(_board(disc, points)[0], [-0.2, 1, 0.8, -0.2], atol=0.01)


def test_a_small_scene_shows_every_toy_and_is_the_same_again():
    scene = draw(60, 40)
    np.testing.assert_array_equal(draw(60, 40), scene)
    for toy in TOYS:
        without = draw(60, 40, tuple(other for other in TOYS if other is not toy))
        assert (np.abs(scene.astype(int) - without).max(-1) > 40).sum() > 8, toy.kind


def test_the_bundled_model_names_the_star_and_finds_it():
    with Image.open(SCENE) as image:
        width, height = image.size
    [found] = camviz.explain("demo", SCENE, fit="whole")
    assert found.target == "star"
    row, column = np.unravel_index(np.nanargmax(found.view.place(found.values)), (height, width))
    assert 0.2 < column / width < 0.42
    assert 0.3 < row / height < 0.75
