"""Regions of an image: points and masks, in the cells of an output."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PILImage

from camviz.errors import InputError
from camviz.tasks.regions import read_mask
from camviz.types import View
from tests.helpers.segments import ROW, chosen


def test_a_point_in_pixels_of_the_image():
    target = chosen("point:2,3")  # second column, second row: dog, its score 3 + 5
    assert (target.label, target.index, float(target.read(ROW))) == ("dog at 2,3", 2, 8)
    assert target.marks[0].point == (2.5 / 8, 3.5 / 4)
    assert float(chosen("cat@point:2,3").read(ROW)) == 0


def test_a_point_of_a_cropped_view():
    view = View((8, 4), (2, 0, 6, 4), (16, 16))  # the middle half
    assert float(chosen("point:2,0", view=view).read(ROW)) == 3
    assert float(chosen("point:5,0", view=view).read(ROW)) == 6
    with pytest.raises(InputError, match="point 6,0"):
        chosen("point:6,0", view=view)
    with pytest.raises(InputError, match="point 8,0 is outside the image of 8×4"):
        chosen("point:8,0")


def test_a_mask_file(tmp_path):
    mask = np.zeros((4, 8), np.uint8)
    mask[2:, 2:6] = 3  # places (1, 1) and (1, 2): a dog and a cat
    mask[:2, 4:6] = 1  # and (0, 2), another cat
    PILImage.fromarray(mask).save(tmp_path / "m.png")
    target = chosen(f"mask:{tmp_path / 'm.png'}")
    assert (target.label, target.index) == ("cat in m", 1)
    assert float(target.read(ROW)) == pytest.approx((5 + 0 + 9) / 3)
    assert target.marks[0].region.tolist() == [[False, False, True, False], [False, True, True, False]]
    assert chosen(f"dog@mask:{tmp_path / 'm.png'}").index == 2


def test_a_mask_of_another_size_or_of_nothing(tmp_path):
    PILImage.new("L", (5, 5), 1).save(tmp_path / "other.png")
    PILImage.new("L", (8, 4), 0).save(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("no image")
    for name, message in (("other", "5×5, the image 8×4"), ("empty", "empty.png"), ("text", "is not an image")):
        with pytest.raises(InputError, match=message):
            chosen(f"mask:{tmp_path / name}.png")


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "1", "I;16"])
def test_a_mask_in_any_mode(tmp_path, mode):
    values = np.zeros((4, 8), np.uint16)
    values[1, 2] = 1
    if mode == "I;16":
        image = PILImage.fromarray(values)
    elif mode == "P":
        image = PILImage.fromarray(values.astype(np.uint8), "L").convert("P")
        image.putpalette([9, 9, 9, *[0] * 765])  # index 1 may well be black
        image = PILImage.fromarray(values.astype(np.uint8), "P")
        image.putpalette([9, 9, 9, *[0] * 765])
    else:
        image = PILImage.fromarray((255 * values).astype(np.uint8), "L").convert(mode)
    image.save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png").nonzero() == (np.array([1]), np.array([2]))
