"""Pages of small tiles."""

import numpy as np
import pytest

from camviz.render.animation import animate
from camviz.render.montage import columns_for, enlarged, montage, tile_size


def test_tiles_stand_in_reading_order():
    tiles = np.stack([np.full((20, 30, 3), 10 * k, np.uint8) for k in range(5)])
    page = montage(tiles, [""] * 5, 3)
    assert page.shape == (2 * 20 + 6, 3 * 30 + 2 * 6, 3)
    assert [page[10, 15 + 36 * k, 0] for k in range(3)] == [0, 10, 20]
    assert [page[36, 15 + 36 * k, 0] for k in range(3)] == [30, 40, 255]


def test_labels_are_below_their_tiles_and_never_cut():
    tiles = np.zeros((4, 40, 40, 3), np.uint8)
    labels = ["1", "12345 · 100.0%", "2", "3"]
    page = montage(tiles, labels, 2)
    ink = (page < 128).all(2)
    below = ink[40:]
    assert ink[:, 0].sum() == 0  # the long label made its column wider than the tile
    assert below[: (page.shape[0] - 6) // 2 - 40].any()
    assert not ink[:, -1].any()


def test_cells_stay_cells_when_they_grow_and_are_averaged_when_they_shrink():
    tile = np.array([[0, 200], [100, 40]], np.uint8)[None, :, :, None].repeat(3, 3)
    grown = enlarged(tile, 4, 4)[0, :, :, 0]
    assert grown.tolist() == [[0, 0, 200, 200]] * 2 + [[100, 100, 40, 40]] * 2
    assert enlarged(grown[None, :, :, None].repeat(3, 3), 2, 2)[0, :, :, 0].tolist() == [[0, 200], [100, 40]]
    assert enlarged(tile, 1, 1)[0, 0, 0, 0] == 85


@pytest.mark.parametrize("count", [1, 2, 7, 48, 300, 2048])
@pytest.mark.parametrize("cell", [(7, 7), (14, 28), (1, 50), (112, 56)])
def test_a_page_is_neither_a_ribbon_nor_a_tower(count, cell):
    across = columns_for(count, *cell)
    height, width = tile_size(count, *cell)
    rows = -(-count // across)
    assert 1 <= across <= count
    assert max(height, width) <= 220
    if count >= 48 and max(cell) < 10 * min(cell):
        assert 0.5 < (across * width) / (rows * height) < 4


def test_no_tiles_make_an_empty_page():
    assert montage(np.zeros((0, 5, 5, 3), np.uint8), [], 1).shape[2] == 3


def test_films_have_all_frames_at_one_even_size():
    import io

    from PIL import Image

    frames = [np.full((31, 41, 3), 250 * (k % 2), np.uint8) for k in range(3)]
    film = Image.open(io.BytesIO(animate(frames, "gif")))
    assert film.size == (42, 32)
    assert film.n_frames == 3
    assert film.info["duration"] == 800
    assert len(animate(frames, "mp4")) > 500
