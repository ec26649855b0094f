"""The sheet of all maps of one image."""

import numpy as np
import pytest

from camviz.render import draw, takes_all
from camviz.render.grid import _TILE
from camviz.types import Image, Look, SaliencyMap, View


def maps(methods, targets=("cat",), layers=("layer4",), size=(400, 300), parts=(0,)):
    image = Image(np.full((size[1], size[0], 3), 90, np.uint8))
    view = View(size, (0, 0, *size), (224, 224))
    values = np.arange(4, dtype=np.float32).reshape(2, 2)
    return image, [
        SaliencyMap(
            values * (i + 1),
            method,
            layer,
            target,
            number,
            1.0,
            0.5,
            "net",
            view,
            image,
            {"part": part} if part else {},
        )
        for number, target in enumerate(targets)
        for layer in layers
        for i, method in enumerate(methods)
        for part in parts
    ]


def tiles(figure: np.ndarray) -> int:
    """Tiles side by side, counted by the runs of columns that are not paper, on the row with the most of them."""
    dark = (figure < 200).all(2)
    best = 0
    for row in dark:
        runs = np.diff(np.flatnonzero(np.diff(np.r_[0, row.astype(int), 0]))[::1])[::2]
        best = max(best, int((runs > _TILE * 0.8).sum()))
    return best


@pytest.mark.parametrize(("count", "across"), [(1, 2), (3, 4), (5, 6), (6, 4), (11, 6), (24, 5)])
def test_a_single_row_is_wrapped_into_rows_of_equal_length(count, across):
    image, found = maps([f"method{i}" for i in range(count)])
    figure = draw(image, found, Look(layout="grid", alpha=0.0)).pixels
    assert figure.shape[1] >= across * _TILE
    assert tiles(figure) == across


def test_targets_stand_below_each_other_and_columns_are_methods_and_layers():
    image, found = maps(["a", "b"], targets=("cat", "dog", "eel"), layers=("x", "y"))
    figure = draw(image, found, Look(layout="grid", alpha=0.0)).pixels
    assert tiles(figure) == 5
    assert tiles(figure.transpose(1, 0, 2)) == 0  # tiles are 270 high, less than the measure of a side
    assert figure.shape[0] > 3 * 270


def test_parts_of_one_method_have_their_own_tiles():
    image, found = maps(["dff"], parts=(1, 2, 3))
    assert tiles(draw(image, found, Look(layout="grid", alpha=0.0)).pixels) == 4


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (2000, 20), (64, 64)])
def test_images_of_any_shape(size):
    image, found = maps(["gradcam", "layercam"], size=size)
    figure = draw(image, found, Look(layout="grid")).pixels
    assert figure.dtype == np.uint8
    assert figure.shape[1] < 3000


def test_only_the_grid_takes_all_maps():
    assert takes_all("grid")
    assert not takes_all("overlay")
    image, found = maps(["a", "b"])
    assert draw(image, found, Look()).pixels.shape == (300, 400, 3)
