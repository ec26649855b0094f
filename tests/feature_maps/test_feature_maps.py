"""`camviz.features`, as it is called from Python."""

import numpy as np

import camviz
from tests.helpers.inputs import model, random_images


def test_from_python_with_one_layer_and_with_several():
    one = camviz.features(model("plain"), random_images(1)[0], layer="features.3")
    assert one.values.shape == (8, 8, 8)
    several = camviz.features(model("plain"), random_images(1)[0], layer=["features.0", "features.3"])
    assert [m.layer for m in several] == ["features.0", "features.3"]
    np.testing.assert_array_equal(several[1].values, one.values)
    default = camviz.features(model("plain"), random_images(1)[0])
    assert default.layer == "features.4"
    assert one.montage().size[0] > 200
