"""Methods that look at what the activations are made of, against literal transcriptions."""

from types import SimpleNamespace

import numpy as np
import torch

from camviz.methods import METHODS
from camviz.methods.components import principal
from tests.methods.test_cam import A, G, probe, run


def svd_projection(maps: np.ndarray) -> np.ndarray:
    """positions × channels on the first right singular vector, its sign by agreement with the channels' mean."""
    rows = maps.reshape(len(maps), -1).T.astype(np.float64)
    _, _, right = np.linalg.svd(rows, full_matrices=False)
    projected = rows @ right[0]
    if (projected * rows.mean(1)).sum() < 0:
        projected = -projected
    return projected.reshape(maps.shape[1:])


def test_principal_is_the_projection_on_the_first_singular_vector():
    rng = np.random.default_rng(0)
    for shape in ((2, 2, 2), (3, 4, 5), (40, 3, 3)):  # more positions than channels, and fewer
        maps = rng.normal(size=shape).astype(np.float32)
        np.testing.assert_allclose(
            principal(torch.from_numpy(maps)[None])[0], svd_projection(maps), rtol=1e-4, atol=1e-5
        )


def test_principal_of_a_matrix_of_rank_one_by_hand():
    # both channels are multiples of one pattern p: 3p and 4p. The right vector is (3, 4)/5, the projection 5p
    p = torch.tensor([[1.0, 2], [3, 4]])
    np.testing.assert_allclose(principal(torch.stack([3 * p, 4 * p])[None])[0], 5 * p, rtol=1e-6)
    np.testing.assert_allclose(principal(-torch.stack([3 * p, 4 * p])[None])[0], -5 * p, rtol=1e-6)


def test_principal_keeps_a_image_that_is_not_finite_to_itself():
    maps = torch.rand(2, 3, 2, 2)
    maps[0, 0, 0, 0] = float("nan")
    found = principal(maps)
    assert torch.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], principal(maps[1:])[0], rtol=1e-5)


def test_eigencam_and_its_relatives():
    np.testing.assert_allclose(run("eigencam"), svd_projection(A[0].numpy()), rtol=1e-5)
    np.testing.assert_allclose(run("eigengradcam"), svd_projection((A * G)[0].numpy()), rtol=1e-5)
    weighted = svd_projection((A * G.abs())[0].numpy())
    assert abs(weighted.max()) > abs(weighted.min())
    np.testing.assert_allclose(run("segeigencam"), weighted, rtol=1e-5)


def test_the_sign_of_the_relatives_by_hand():
    # both channels are multiples of p, so the projections are ±5p; G is 1, and then -1
    given, p = probe(), torch.tensor([[1.0, 1], [1, -2]])
    given.activations = torch.stack([3 * p, 4 * p])[None]
    for gradient, evidence in ((1.0, 5 * p), (-1.0, -5 * p)):
        given.gradients = torch.full_like(given.activations, gradient)
        np.testing.assert_allclose(run("eigengradcam", given), evidence, rtol=1e-6)
        np.testing.assert_allclose(run("segeigencam", given), -5 * p, rtol=1e-6)  # -2 is the largest magnitude


def test_fem():
    # channel 0: μ = 2.5, σ = √1.25 ≈ 1.118; above μ + σ = 3.618 is only 4: mean 2.5 there.
    # channel 1: μ = 1, σ = √3 ≈ 1.732; above 2.732 is only the 4: mean 1 there.
    assert run("fem", deviations=1.0).tolist() == [[1, 0], [0, 2.5]]
    assert run("fem", deviations=2.0).tolist() == [[0, 0], [0, 0]]
    # σ is that of the positions at hand: 2.5 + 1.25 · 1.118 < 4, while the estimate 1.291 would miss it
    assert run("fem", deviations=1.25).tolist() == [[1, 0], [0, 2.5]]


def test_kpcacam_against_a_transcription():
    rows = A[0].numpy().reshape(2, -1).T.astype(np.float64)
    distances = np.array([[((x - y) ** 2).sum() for y in rows] for x in rows])
    kernel = np.exp(-distances / np.quantile(distances[distances > 0], 0.5, method="lower"))
    ones = np.full_like(kernel, 1 / len(kernel))
    centered = kernel - ones @ kernel - kernel @ ones + ones @ kernel @ ones
    values, vectors = np.linalg.eigh(centered)
    projected = vectors[:, -1] * np.sqrt(values[-1])
    mean = rows.mean(1)
    projected *= np.sign((projected * (mean - mean.mean())).sum())
    np.testing.assert_allclose(run("kpcacam"), projected.reshape(2, 2), rtol=1e-5)


def test_kpcacam_does_not_depend_on_the_scale_of_the_activations():
    """With γ fixed, activations of 1000 make the kernel the identity, and the map noise."""
    torch.manual_seed(0)
    pattern = torch.rand(1, 5, 4, 4)
    small, large = (run("kpcacam", SimpleNamespace(activations=maps)) for maps in (pattern, 1000 * pattern))
    np.testing.assert_allclose(small, large, rtol=1e-4, atol=1e-6)


def test_the_sign_follows_the_centered_mean():
    """A bright background and a dim object with its own channel: uncentered, the mean of the background decides."""
    background, objects = torch.full((4, 4), 1.0), torch.zeros(4, 4)
    objects[1:3, 1:3] = 4.0
    background[1:3, 1:3] = 0.5
    maps = torch.stack([background, background, objects])[None]
    found = principal(maps)[0]
    assert found[1:3, 1:3].mean() > found[0].mean(), "the object is stronger in the mean over channels"


def test_dff_finds_the_two_patterns_a_image_is_made_of():
    left = torch.tensor([[1.0, 0], [1, 0]])
    top_right = torch.tensor([[0.0, 1], [0, 0]])
    given = probe()
    given.activations = torch.stack([3 * left, 3 * left, 2 * top_right])[None]
    first, second = METHODS.find("dff").call(given, concepts=2)
    for found, pattern in ((first[0], left), (second[0], top_right)):
        np.testing.assert_allclose(found / found.max(), pattern, atol=0.02)
    # of a total of 12 + 2 the first makes up 12
    np.testing.assert_allclose(given.facts[0]["shares"], [12 / 14, 2 / 14], atol=0.01)
