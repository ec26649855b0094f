"""The model's input is torchvision's own, and the view says where it came from."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from torchvision import models
from torchvision.transforms import v2

from camviz.errors import RequestError
from camviz.io.notebook import as_images
from camviz.models.catalog import classifiers
from camviz.models.preprocess import prepare
from camviz.models.sources.torchvision import _preprocessing
from camviz.types import Fit, Image, Preprocessing

# one architecture for every way in which torchvision's presets differ: resize, crop, interpolation
PRESETS = {
    _preprocessing(listing, weights): weights
    for name, listing in classifiers().items()
    for weights in models.get_model_weights(name)
}
SIZES = [(500, 375), (331, 497), (64, 48), (57, 900), (1, 1)]


def test_there_are_many_presets():
    assert len(PRESETS) > 12
    assert {how.interpolation for how in PRESETS} == {"bilinear", "bicubic"}


@pytest.mark.parametrize("how", PRESETS, ids=lambda how: f"{how.resize}-{how.crop[0]}-{how.interpolation}")
def test_equals_torchvision(how, pixels):
    transform = PRESETS[how].transforms()
    for number, (width, height) in enumerate(SIZES):
        image = Image(pixels(width, height, number))
        expected = transform(PILImage.fromarray(image.pixels))
        found, view = prepare(image, how)
        assert found.dtype == np.float32
        assert view.image == (width, height)
        assert view.size == (how.crop[1], how.crop[0])
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0, atol=1e-6, msg=f"{width}×{height}")


@pytest.mark.parametrize("crop", [(96, 64), (64, 96), (33, 32), (32, 37)])
@pytest.mark.parametrize("size", [(40, 40), (61, 40), (40, 61), (33, 120)])
def test_a_crop_beyond_the_image_is_filled_as_torchvision_does(pixels, crop, size):
    how = Preprocessing(crop, min(crop), (0.0,) * 3, (1.0,) * 3)
    image = Image(pixels(*size))
    transform = v2.Compose(
        [v2.Resize(how.resize), v2.CenterCrop(crop), v2.PILToTensor(), v2.ToDtype(torch.float, True)]
    )
    expected = transform(PILImage.fromarray(image.pixels))
    assert np.allclose(prepare(image, how)[0], expected.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("channels", "expected"),
    [(1, [219]), (2, [76, 51]), (3, [255, 204, 204]), (4, [255, 0, 0, 51])],
)
def test_a_model_sees_as_many_channels_as_it_has(channels, expected):
    # a model of colors or gray sees what a person sees: 0.299 · 255 + 0.587 · 204 + 0.114 · 204 = 219
    rgba = np.tile(np.array([255, 0, 0, 51], np.uint8), (8, 8, 1))  # red, a fifth opaque: pink on white
    [image] = as_images(rgba)
    how = Preprocessing((8, 8), 8, (0.0,) * channels, (1.0,) * channels)
    found, _ = prepare(image, how)
    np.testing.assert_allclose(found[:, 4, 4] * 255, expected, atol=1)


def test_an_image_without_alpha_is_opaque_to_a_model_of_four_channels():
    found, _ = prepare(Image(np.zeros((8, 8, 3), np.uint8)), Preprocessing((8, 8), 8, (0.0,) * 4, (1.0,) * 4))
    assert found[:, 0, 0].tolist() == [0, 0, 0, 1]


def test_a_model_of_many_bands_is_refused():
    with pytest.raises(RequestError, match="13 channels"):
        prepare(Image(np.zeros((8, 8, 3), np.uint8)), Preprocessing((8, 8), 8, (0.0,) * 13, (1.0,) * 13))


def test_the_order_of_the_colors_is_that_of_training():
    red = Image(np.tile(np.array([255, 0, 0], np.uint8), (8, 8, 1)))
    how = Preprocessing((8, 8), 8, (0.0, 0.0, 0.5), (1.0,) * 3, order="bgr")
    assert prepare(red, how)[0][:, 0, 0].tolist() == [0, 0, 0.5]  # blue, green, red, and red's own mean


def test_a_letterbox_shows_the_whole_image_and_fills_up():
    how = Preprocessing((80, 80), 80, (0.5,) * 3, (0.5,) * 3, longest=120, multiple=32, fill=(0.485, 0.456, 0.406))
    white = Image(np.full((100, 200, 3), 255, np.uint8))
    found, view = prepare(white, how)  # the long side stops at 120, the short one is 60; 128 × 64 with what is added
    assert found.shape == (3, 64, 128)
    assert (found[:, :60, :120] == 1).all()
    nearest = (np.array([124, 116, 104]) / 255 - 0.5) / 0.5  # 8-bit levels
    assert found[:, 60:].reshape(3, -1) == pytest.approx(np.tile(nearest[:, None], 4 * 128), abs=1e-6)
    assert found[:, :, 120:].reshape(3, -1) == pytest.approx(np.tile(nearest[:, None], 64 * 8), abs=1e-6)
    assert view.box == pytest.approx((0, 0, 200 * 128 / 120, 100 * 64 / 60))
    assert view.point(120 / 128, 60 / 64) == pytest.approx((200, 100))  # the image's own corner
    assert prepare(Image(white.pixels[:, :100]), how)[1].size == (96, 96)  # square: 80 × 80 and 16 added


# where it came from


def ramps(width: int, height: int) -> Image:
    """Red tells the column, green the row: each pixel's value is its center, of 255."""
    columns = (np.arange(width) + 0.5) / width * 255
    rows = (np.arange(height) + 0.5) / height * 255
    grid = np.stack([*np.meshgrid(columns, rows), np.zeros((height, width))], -1)
    return Image(grid.round().astype(np.uint8))


@pytest.mark.parametrize("fit", get_args(Fit))
@pytest.mark.parametrize("size", [(640, 427), (333, 500), (300, 300), (90, 71)])
@pytest.mark.parametrize("how", [Preprocessing(), Preprocessing((128, 128), 140), Preprocessing((96, 160), 100)])
def test_the_box_is_where_the_pixels_came_from(fit, size, how):
    image = ramps(*size)
    values, view = prepare(image, how, fit)
    shown = values * np.reshape(how.std, (3, 1, 1)) + np.reshape(how.mean, (3, 1, 1))
    left, top, right, bottom = view.box
    across, down = (right - left) / view.size[0], (bottom - top) / view.size[1]
    margin = 4  # the edges of a resized image are not linear, and fill is black
    columns, rows = np.arange(view.size[0]), np.arange(view.size[1])
    expected = (left + (columns + 0.5) * across) / size[0], (top + (rows + 0.5) * down) / size[1]
    middle = view.size[1] // 2, view.size[0] // 2
    found = shown[0, middle[0]], shown[1, :, middle[1]]
    for place, value, length in zip(expected, found, size, strict=True):
        inside = (place > margin * 4 / length) & (place < 1 - margin * 4 / length)
        assert inside.sum() > 20
        assert np.abs(place - value)[inside].max() < 1 / 255 + 0.5 / length


@pytest.mark.parametrize("fit", get_args(Fit))
@pytest.mark.parametrize("spot", [(210, 200), (420, 90), (300, 330)])
def test_a_marked_square_comes_back_to_its_place(fit, spot):
    pixels = np.zeros((427, 640, 3), np.uint8)
    x, y = spot
    pixels[y - 12 : y + 12, x - 12 : x + 12] = 255
    how = Preprocessing(mean=(0.0,) * 3, std=(1.0,) * 3)
    values, view = prepare(Image(pixels), how, fit)
    placed = np.nan_to_num(view.place(values[0]))
    rows, columns = np.mgrid[:427, :640] + 0.5
    assert placed.sum() > 400
    assert (placed * columns).sum() / placed.sum() == pytest.approx(x, abs=0.5)
    assert (placed * rows).sum() / placed.sum() == pytest.approx(y, abs=0.5)


def test_what_the_view_does_not_show_is_nothing():
    _, view = prepare(ramps(640, 320), Preprocessing((224, 224), 224))
    placed = view.place(np.ones((7, 7), np.float32))
    shown = np.isfinite(placed)
    assert view.partial
    assert shown[:, 160:480].all()
    assert not shown[:, :160].any()
    assert not shown[:, 480:].any()


# fits


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 400), (352, 224)), ((400, 640), (224, 352)), ((300, 300), (224, 224)), ((2000, 100), (896, 224))],
)
def test_whole_keeps_the_aspect_and_shows_everything(size, expected):
    values, view = prepare(ramps(*size), Preprocessing(), "whole")
    assert view.size == expected
    assert values.shape == (3, expected[1], expected[0])
    assert view.box == (0, 0, *size)
    assert not view.partial


@pytest.mark.parametrize("size", [(640, 427), (57, 900), (1, 1)])
def test_squash_shows_everything_at_the_crops_size(size):
    values, view = prepare(ramps(*size), Preprocessing((96, 160)), "squash")
    assert view.size == (160, 96)
    assert values.shape == (3, 96, 160)
    assert view.box == (0, 0, *size)


def test_without_resize_the_model_itself_squashes():
    how = Preprocessing((64, 64), None)
    assert np.array_equal(prepare(ramps(90, 50), how)[0], prepare(ramps(90, 50), how, "squash")[0])


def test_an_unknown_fit():
    with pytest.raises(RequestError, match="no fit 'crop'"):
        prepare(ramps(9, 9), Preprocessing(), "crop")


def test_gray_models_get_one_channel():
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, :, 0] = 255
    values, _ = prepare(Image(pixels), Preprocessing((32, 32), 32, (0.5,), (0.5,)))
    assert values.shape == (1, 32, 32)
    assert values == pytest.approx((76 / 255 - 0.5) / 0.5)  # ITU-R 601: 0.299 of 255


def test_mean_and_std_are_applied_per_channel():
    how = Preprocessing((8, 8), 8, (0.1, 0.2, 0.3), (0.5, 0.25, 2.0))
    values, _ = prepare(Image(np.full((8, 8, 3), 255, np.uint8)), how)
    assert values[:, 0, 0] == pytest.approx([0.9 / 0.5, 0.8 / 0.25, 0.7 / 2])


def test_the_input_is_contiguous():
    assert prepare(ramps(50, 40), Preprocessing())[0].flags.c_contiguous


def test_a_size_to_squash_to_before_the_crop(pixels):
    """The same as torchvision's Resize of both sides, then CenterCrop."""
    how = Preprocessing((40, 48), (60, 64), (0.0,) * 3, (1.0,) * 3)
    image = pixels(100, 90)
    found, view = prepare(Image(image), how)
    resized = v2.CenterCrop((40, 48))(v2.Resize((60, 64))(PILImage.fromarray(image)))
    np.testing.assert_array_equal(found, np.asarray(resized, np.float32).transpose(2, 0, 1) / 255)
    assert view.box == (8 * 100 / 64, 10 * 90 / 60, 56 * 100 / 64, 50 * 90 / 60)


def test_channels_in_the_other_order(pixels):
    how = Preprocessing((8, 8), None, (0.1, 0.2, 0.3), (1.0, 2.0, 4.0), order="bgr")
    image = pixels(8, 8)
    found, _ = prepare(Image(image), how)
    np.testing.assert_allclose(found[0], image[..., 2] / 255 - 0.1, atol=1e-6)
    np.testing.assert_allclose(found[2], (image[..., 0] / 255 - 0.3) / 4, atol=1e-6)
