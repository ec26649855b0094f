"""Pixels and inputs, one from the other."""

from __future__ import annotations

import pytest
import torch

from camviz.feature_maps.visualization.image_space import as_written, imaged, normalize, to_pixels
from camviz.types import Preprocessing
from tests.helpers.modules import SIZE

HOW = Preprocessing((SIZE, SIZE), SIZE)


def test_pixels_and_inputs():
    images = torch.tensor([0, 1, 127, 255]).view(1, 1, 2, 2).expand(1, 3, 2, 2) / 255
    torch.testing.assert_close(imaged(normalize(images, HOW), HOW), images)
    assert to_pixels(images[:, :1])[0, 1, 0].tolist() == [127] * 3
    assert as_written(torch.tensor([[-1.0, 0.5004, 2]])).tolist() == [[0, pytest.approx(128 / 255), 1]]
