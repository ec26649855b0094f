"""Random moves of an image: shifts, turns, zooms, by hand."""

from __future__ import annotations

import pytest
import torch

from camviz.feature_maps.visualization.augment import Moves, affine, view
from tests.helpers.inputs import seeded


@pytest.mark.parametrize("shape", [(6, 6), (4, 8)])
def test_no_move_shows_the_image_itself(shape):
    images = torch.rand(2, 3, *shape, generator=seeded())
    torch.testing.assert_close(view(images, affine()), images, atol=1e-6, rtol=0)


def test_moves_by_hand():
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    one_right = view(image, affine(across=0.5))  # half of half the side: one pixel of four
    torch.testing.assert_close(one_right[..., :3], image[..., 1:])
    quarter = view(image, affine(turn=90))
    torch.testing.assert_close(quarter, torch.rot90(image, 1, (2, 3)), atol=1e-4, rtol=0)


def test_a_turn_keeps_angles_in_wide_images():
    wide = torch.zeros(1, 1, 16, 32)
    wide[..., 15:17] = 1  # an upright bar of two pixels
    turned = view(wide, affine(turn=90))[0, 0]
    assert turned[7:9, 10:22].min() > 0.99  # lies flat
    assert turned[:6].abs().max() < 0.01


def test_a_share_of_the_moves():
    moves = Moves(jitter=0.1, zoom=2.0, turn=0.0)
    whole, tenth = moves.draw(seeded(1)), moves.draw(seeded(1), 0.1)
    torch.testing.assert_close(tenth[:, 2], 0.1 * whole[:, 2])
    torch.testing.assert_close(tenth[0, 0], whole[0, 0] ** 0.1)
    torch.testing.assert_close(moves.draw(seeded(1), 0.0), affine())


def test_moves_follow_the_seed():
    moves = Moves()
    assert torch.equal(moves.draw(seeded(1)), moves.draw(seeded(1)))
    assert not torch.equal(moves.draw(seeded(1)), moves.draw(seeded(2)))
