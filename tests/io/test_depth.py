"""Pixels beyond eight bits: bit depth, sign, floats, windows, colors of 16 bits."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image as PILImage

from camviz.io.depth import to_bytes
from camviz.io.images import read_image

RAMP = np.linspace(0, 1, 64).reshape(8, 8)


@pytest.mark.parametrize(("bits", "kind"), [(8, "u2"), (10, "u2"), (12, "u2"), (14, "u2"), (16, "u2"), (12, "i2")])
def test_integers_are_scaled_by_their_bit_depth(bits, kind):
    top = min(2**bits - 1, np.iinfo(kind).max)
    values, note = to_bytes((RAMP * top).round().astype(kind))
    assert (values.min(), values.max()) == (0, 255)
    assert f"{bits} bits" in note


@pytest.mark.parametrize(
    ("values", "black", "white"),
    [
        (np.array([[-1024, 0, 3071]], np.int16), 0, 2),
        (np.array([[0.0, 0.5, 1.0]], np.float32), 0, 2),
        (np.array([[0.0, 100.0, 255.0]], np.float32), 0, 2),
        (np.array([[-1.0, 0.0, 7.0]], np.float32), 0, 2),
        (np.array([[0, 10**6, 2 * 10**6]], np.uint32), 0, 2),
        (np.array([[False, True, True]]), 0, 2),
    ],
)
def test_other_kinds_are_scaled_by_their_range(values, black, white):
    eight, note = to_bytes(values)
    assert (eight[0, black], eight[0, white]) == (0, 255)
    assert note


def test_a_window_sets_black_and_white():
    eight, note = to_bytes(np.array([[-200, 0, 100, 200, 900]], np.int16), (0, 200))
    assert eight.tolist() == [[0, 0, 128, 255, 255]]
    assert "0…200" in note


def test_values_that_are_not_finite_are_black():
    eight, note = to_bytes(np.array([[0.0, np.nan, np.inf, 1.0]], np.float32))
    assert eight.tolist() == [[0, 0, 0, 255]]
    assert "2 values" in note


def test_a_constant_image_is_read():
    assert to_bytes(np.full((2, 2), 7.5, np.float32) * -1)[0].shape == (2, 2)


def test_files_of_twelve_bits_are_not_black(tmp_path):
    PILImage.fromarray((RAMP * 4095).astype(np.uint16)).save(tmp_path / "x.png")
    image = read_image(tmp_path / "x.png")
    assert image.pixels.max() == 255
    assert "12 bits" in image.note
    assert read_image(tmp_path / "x.png", (0, 8190)).pixels.max() == 128


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_colors_of_sixteen_bits_keep_their_depth(tmp_path, suffix):
    colors = np.stack([RAMP * 4095, RAMP * 0, RAMP[::-1] * 4095], -1).astype(np.uint16)  # blue, green, red
    path = tmp_path / f"x.{suffix}"
    cv2.imwrite(str(path), colors)
    image = read_image(path)
    assert (image.pixels[0, 0, 0], image.pixels[7, 7, 2]) == (223, 255) or image.pixels[7, 7, 2] == 255
    assert image.pixels[..., 0].max() > 200
    assert image.pixels[..., 1].max() == 0


def test_signed_files(tmp_path):
    PILImage.fromarray(np.array([[-1000, 0, 1000]], np.int32)).save(tmp_path / "x.tiff")
    assert read_image(tmp_path / "x.tiff").pixels[0, :, 0].tolist() == [0, 128, 255]


def test_eight_bits_have_no_note(tmp_path, write_image):
    assert read_image(write_image(tmp_path / "x.png")).note == ""
