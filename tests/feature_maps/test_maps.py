"""Feature maps with known values: each ranking, reduction and scale, exactly."""

import numpy as np
import pytest

import camviz
from camviz.feature_maps.maps import check_finite
from camviz.types import Image
from tests.helpers.feature_maps import VALUES, maps
from tests.helpers.inputs import model, random_images


def test_energy_shares_and_dead_channels():
    one = maps()
    assert one.energy.tolist() == [30, 0, 25, 36]
    np.testing.assert_allclose(one.shares, [30 / 91, 0, 25 / 91, 36 / 91])
    assert one.dead.tolist() == [False, True, False, False]
    assert one.sparsity == 7 / 16
    assert one.signed
    assert one.stride == 4


def test_ranking():
    one = maps(contributions=np.array([0.5, 9, -1, 2], np.float32))
    assert one.order("energy") == [3, 0, 2]
    assert one.order("variance") == [2, 0, 3]
    assert one.order("peak") == [2, 0, 3]
    assert one.order("contribution") == [3, 0, 2]  # the dead one is left out, however it is weighted
    assert one.order("index") == [0, 1, 2, 3]


def test_ranking_by_contribution_needs_a_target():
    with pytest.raises(camviz.CamvizError, match="needs a target"):
        maps().order("contribution")


def test_reductions():
    one = maps()
    assert one.reduce("sum").tolist() == [[-2, -1], [0, 6]]
    assert one.reduce("mean").tolist() == [[-0.5, -0.25], [0, 1.5]]
    assert one.reduce("max").tolist() == [[1, 2], [3, 5]]
    np.testing.assert_allclose(one.reduce("l2"), np.sqrt([[10, 13], [18, 50]]), rtol=1e-6)


def test_a_sum_leaves_channel_0_alone_and_does_not_wrap_at_256():
    values = np.full((300, 2, 2), 200, np.float32)
    one = maps(values)
    assert one.reduce("sum").tolist() == [[60000, 60000], [60000, 60000]]
    assert (one.values == 200).all()


def test_groups_of_channels_that_look_alike():
    a, b = np.array([[1, 0], [0, 0]], np.float32), np.array([[0, 0], [1, 1]], np.float32)
    one = maps(np.stack([a, 3 * b, 2 * a, b, 0 * a, 5 * a]))
    first, second = one.groups(2)
    assert first.channels == (0, 2, 5)
    assert second.channels == (1, 3)
    # energies: 1, 18, 4, 2, 0, 25
    assert first.share == pytest.approx(30 / 50)
    np.testing.assert_allclose(first.values, 8 / 3 * a, rtol=1e-6)
    np.testing.assert_allclose(second.values, 2 * b)


def test_groups_of_a_silent_layer_are_none():
    assert maps(np.zeros((3, 2, 2), np.float32)).groups(4) == []


def test_values_that_are_not_finite_are_named():
    values = VALUES.copy()
    values[2, 0, 0] = np.nan
    assert check_finite([maps(), maps(values)]) == "NaN or infinite values at layer 'features.3'"
    assert check_finite([maps()]) == ""


def test_from_python_with_one_layer_and_with_several():
    one = camviz.features(model("plain"), random_images(1)[0], layer="features.3")
    assert one.values.shape == (8, 8, 8)
    several = camviz.features(model("plain"), random_images(1)[0], layer=["features.0", "features.3"])
    assert [m.layer for m in several] == ["features.0", "features.3"]
    np.testing.assert_array_equal(several[1].values, one.values)
    default = camviz.features(model("plain"), random_images(1)[0])
    assert default.layer == "features.4"
    assert one.montage().size[0] > 200


def test_values_are_what_the_layer_gives():
    import torch

    from camviz.models.preprocess import prepare

    asked, image = model("inplace"), random_images(1)[0]
    x = torch.from_numpy(prepare(Image(image), asked.preprocessing)[0])[None]
    with torch.no_grad():
        expected = asked.module.features[:4](x)[0]
    found = camviz.features(asked, image, layer="features.3")  # an in-place ReLU follows
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6)
    assert found.contributions is None


def test_contribution_is_mean_gradient_times_mean_activation():
    # GAP and one linear layer: mean gradient W/64, so the contribution is W·mean(A)/64
    asked = model("plain")
    found = camviz.features(asked, random_images(1)[0], layer="features.4", target="2")
    weights = asked.module.fc.weight[2].detach().numpy()
    np.testing.assert_allclose(found.contributions, weights / 64 * found.values.mean((1, 2)), rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("name", ["vit", "channels-last", "residual"])
def test_any_layout_gives_channels_first(name):
    found = camviz.features(model(name), random_images(1)[0])
    assert found.values.shape[1] == found.values.shape[2]
    assert found.values.shape[0] in (6, 8, 12)


def test_a_model_that_is_no_classifier_has_features_too():
    from torch import nn

    asked = camviz.load(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 1)), input_size=(16, 16))
    assert camviz.features(asked, random_images(1)[0], layer="0").values.shape == (4, 16, 16)
