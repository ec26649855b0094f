"""The descent that all optimized images share."""

from __future__ import annotations

import torch

from camviz.feature_maps.visualization.optimize import descend


def test_every_image_goes_at_its_own_pace():
    start = torch.tensor([[4.0, 0], [4, 0]])
    weights = torch.tensor([1.0, 1e6])

    def loss(z):
        return weights * (z - torch.tensor([[1.0, 2], [1, 2]])).square().sum(1)

    done = descend(start, loss, 300, settle=True)
    torch.testing.assert_close(done[0], done[1], atol=1e-3, rtol=0)
    torch.testing.assert_close(done[0], torch.tensor([1.0, 2]), atol=0.02, rtol=0)
    assert start.tolist() == [[4, 0], [4, 0]]


def test_a_flat_loss_moves_nothing_and_tells_its_progress():
    heard = []
    done = descend(torch.ones(1, 3), lambda z: 0 * z.sum(1), 3, tick=lambda *now: heard.append(now))
    assert done.tolist() == [[1, 1, 1]]
    assert heard == [(1, 3), (2, 3), (3, 3)]
