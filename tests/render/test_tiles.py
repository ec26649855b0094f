"""Pixels of tiles: as many as a tile has dots, tiny images with visible pixels."""

from __future__ import annotations

import numpy as np

from camviz.render.tiles import tile_pixels
from camviz.types import Style


def test_a_tile_has_as_many_pixels_as_dots():
    """Two columns of 127 mm at 100 dots per inch: 250 dots each."""
    assert tile_pixels(np.zeros((200, 400, 3), np.uint8), 2, Style(127, 100)).shape == (125, 250, 3)


def test_a_tall_image_is_limited_by_its_height():
    height, width = tile_pixels(np.zeros((400, 40, 3), np.uint8), 2, Style(127, 100)).shape[:2]
    assert (height, width) == (400, 40)  # 1.6 times 250


def test_tiny_images_keep_visible_pixels():
    pixels = np.uint8([[[0] * 3, [255] * 3]])
    shown = tile_pixels(pixels, 1, Style(25.4, 100))
    assert shown.shape == (50, 100, 3)
    assert set(np.unique(shown)) == {0, 255}
