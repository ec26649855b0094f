"""Noisy linear imputation: systems solved by hand, and by a direct solver."""

import numpy as np
import pytest
import torch

from camviz.metrics.imputation import impute


def removed(*places, size=(3, 3)):
    mask = torch.zeros(size, dtype=torch.bool)
    for place in places:
        mask[place] = True
    return mask[None]


IMAGE = torch.tensor([[[1.0, 2, 3], [4, 50, 6], [7, 8, 9]]])


def test_a_pixel_is_the_weighted_mean_of_its_neighbors():
    direct, diagonal = 2 + 4 + 6 + 8, 1 + 3 + 7 + 9
    [[filled]] = impute(IMAGE, removed((1, 1)), 1e-7)
    assert filled[1, 1] == pytest.approx(direct / 6 + diagonal / 12)
    assert torch.equal(filled[0], IMAGE[0, 0])


def test_beyond_the_border_is_nothing():
    [[filled]] = impute(IMAGE, removed((0, 0)), 1e-7)
    assert filled[0, 0] == pytest.approx((2 * 2 + 2 * 4 + 50) / 5)
    [[filled]] = impute(IMAGE, removed((0, 1)), 1e-7)
    assert filled[0, 1] == pytest.approx((2 * 1 + 2 * 3 + 2 * 50 + 4 + 6) / 8)


def test_two_pixels_depend_on_each_other():
    # the middle one and the right one beside it: 12 a - 2 b = p and 8 b - 2 a = q
    p = 2 * (2 + 4 + 8) + (1 + 3 + 7 + 9)
    q = 2 * (3 + 9) + (2 + 8)
    a, b = (8 * p + 2 * q) / 92, (12 * q + 2 * p) / 92
    [[filled]] = impute(IMAGE, removed((1, 1), (1, 2)), 1e-7)
    assert filled[1, 1] == pytest.approx(a, rel=1e-5)
    assert filled[1, 2] == pytest.approx(b, rel=1e-5)


def test_a_ramp_is_filled_exactly():
    ramp = torch.arange(40.0)[None, None].expand(1, 30, 40)
    mask = torch.zeros(1, 30, 40, dtype=torch.bool)
    mask[0, 5:25, 4:36] = True
    assert (impute(ramp, mask, 1e-6)[0] - ramp).abs().max() < 1e-2


def test_nothing_removed_and_everything_removed():
    masks = torch.stack([torch.zeros(3, 3, dtype=torch.bool), torch.ones(3, 3, dtype=torch.bool)])
    whole, empty = impute(IMAGE, masks)
    assert torch.allclose(whole, IMAGE)
    assert torch.allclose(empty, IMAGE.mean().expand_as(IMAGE))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 7), (37, 53)])
def test_any_size_and_the_batch_makes_no_difference(size):
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(3, *size, generator=generator)
    masks = torch.rand(4, *size, generator=generator) < 0.7
    together = impute(image, masks)
    for mask, one in zip(masks, together, strict=True):
        assert torch.allclose(impute(image, mask[None])[0], one, atol=1e-5)
        assert torch.equal(one[:, ~mask], image[:, ~mask])


@pytest.mark.parametrize("cells", [5, 20, 60])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_as_exact_as_promised(cells, share):
    """Against a direct solver: the noise of the metric is 0.01, the image's range here about 4."""
    sparse, linalg = pytest.importorskip("scipy.sparse"), pytest.importorskip("scipy.sparse.linalg")
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand(1, 1, cells, cells, generator=generator)
    field = torch.nn.functional.interpolate(noise, size=(60, 70), mode="bilinear")[0, 0]
    mask = field > field.flatten().quantile(1 - share)
    image = torch.nn.functional.interpolate(torch.randn(1, 1, 15, 15, generator=generator), size=(60, 70))[0]
    free = np.argwhere(mask.numpy())
    number = {tuple(place): i for i, place in enumerate(free)}
    rows, right = [], np.zeros(len(free))
    for i, (y, x) in enumerate(free):
        total = 0
        for dy, dx in [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]:
            place = (y + dy, x + dx)
            if not (0 <= place[0] < 60 and 0 <= place[1] < 70):
                continue
            weight = 1 / 12 if dy and dx else 1 / 6
            total += weight
            if place in number:
                rows.append((i, number[place], -weight))
            else:
                right[i] += weight * float(image[0][place])
        rows.append((i, i, total))
    i, j, values = zip(*rows, strict=True)
    exact = linalg.spsolve(sparse.csc_matrix((values, (i, j))), right)
    found = impute(image, mask[None])[0, 0][mask].numpy()
    assert np.abs(found - exact).max() < 0.05
    assert np.abs(found - exact).mean() < 0.003
    closely = impute(image, mask[None], 1e-5)[0, 0][mask].numpy()
    assert np.abs(closely - exact).max() < 5e-4
