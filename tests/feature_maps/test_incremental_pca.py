"""Principal components of channels, with one basis and one sign for all images."""

import numpy as np

from camviz.feature_maps.incremental_pca import IncrementalPCA, with_foreground
from tests.helpers.feature_maps import VALUES, maps


def test_the_first_component_of_two_opposite_channels_by_hand():
    # a = (t, -t): all variance lies along (1, -1)/√2, where the coordinate is √2·(t - mean t)
    t = np.array([[0.0, 1], [2, 3]], np.float32)
    found = maps(np.stack([t, -t])).reduce("pca")
    np.testing.assert_allclose(np.abs(found[:, :, 0]), np.sqrt(2) * np.abs(t - 1.5), rtol=1e-5)
    np.testing.assert_allclose(found[:, :, 1:], 0, atol=1e-5)
    assert found.shape == (2, 2, 3)


def test_components_have_one_sign_and_one_basis_for_all_images():
    rng = np.random.default_rng(0)
    first, second = (rng.normal(size=(5, 4, 4)).astype(np.float32) for _ in range(2))
    pca = IncrementalPCA(5)
    pca.add(first)
    pca.add(second)
    basis = pca.basis()
    rows = np.concatenate([one.reshape(5, -1) for one in (first, second)], axis=1).astype(np.float64)
    values = np.linalg.eigvalsh(np.cov(rows, bias=True))
    np.testing.assert_allclose(basis.deviations**2, values[::-1][:3], rtol=1e-8)
    assert (np.take_along_axis(basis.directions, np.abs(basis.directions).argmax(1)[:, None], 1) > 0).all()
    own = maps(first, basis=basis).reduce("pca").reshape(-1, 3)
    np.testing.assert_allclose(own, (first.reshape(5, -1).T - rows.mean(1)) @ basis.directions.T, atol=1e-5)
    assert pca.largest == max(first.max(), second.max())


def test_fewer_channels_than_components():
    assert maps(VALUES[:1]).reduce("pca").shape == (2, 2, 3)
    assert maps(VALUES[1:2]).reduce("pca").tolist() == [[[0, 0, 0]] * 2] * 2


def notebook(images: list[np.ndarray], sign: float) -> np.ndarray:
    """The recipe of the DINOv2 notebooks: PCA over all patches, keep one side of the first component, PCA of that."""
    rows = np.concatenate([image.reshape(len(image), -1).T for image in images]).astype(np.float64)
    centered = rows - rows.mean(0)
    first = centered @ np.linalg.svd(centered, full_matrices=False)[2][0]
    chosen = rows[(first > 0) == (sign > 0)]
    return np.linalg.svd(chosen - chosen.mean(0), full_matrices=False)[2][:3]


def test_components_of_the_foreground_are_those_of_the_notebook():
    random = np.random.default_rng(1)
    mixing = random.normal(size=(12, 12)) * np.geomspace(4, 0.3, 12)[:, None]
    images = []
    for _ in range(4):
        values = (random.normal(size=(60, 12)) @ mixing).T.reshape(12, 6, 10)
        values[:, 2:4, 3:7] += 6 * mixing[0][:, None, None]  # an object in the middle
        images.append(values.astype(np.float32))
    pca = IncrementalPCA(12)
    for values in images:
        pca.add(values)
    basis = with_foreground(pca.basis(), images)
    sides = [np.abs((notebook(images, sign) * basis.inner.directions).sum(1)) for sign in (1, -1)]
    assert max(cosines.min() for cosines in sides) >= 0.999
    assert np.mean([basis.foreground(values)[2:4, 3:7].mean() for values in images]) > 0.9
    assert np.allclose(basis.project(images[0]), basis.inner.project(images[0]))
