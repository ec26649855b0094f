"""Small images in which everything can be counted."""

import numpy as np
import pytest

from camviz.metrics.localization import energy, iou, overlaps, pointing
from camviz.types import View

TRUTH = [[0, 1, 1], [0, 1, 1], [0, 0, 0]]
ON = [[0, 3, 1], [0, 2, 1], [1, -5, 0]]
OFF = [[9, 3, 1], [0, 2, 1], [0, 0, 0]]
IMAGE = np.zeros((3, 3))


def test_pointing(case):
    assert pointing(case(IMAGE, [ON, OFF], truth=TRUTH)).tolist() == [1, 0]


def test_pointing_within_a_tolerance(case):
    far = [[0, 0, 0], [0, 0, 0], [9, 0, 0]]
    asked = case(IMAGE, [OFF, far], truth=TRUTH)
    assert pointing(asked, tolerance=1).tolist() == [1, 0]  # (2, 0) is √2 from (1, 1)
    assert pointing(asked, tolerance=1.5).tolist() == [1, 1]


def test_a_map_that_points_at_several_pixels_is_right_by_share(case):
    two = [[9, 9, 0], [0, 0, 0], [0, 0, 0]]
    assert pointing(case(IMAGE, [two, np.zeros((3, 3)), -np.ones((3, 3))], truth=TRUTH)) == pytest.approx(
        [1 / 2, 4 / 9, 4 / 9]
    )


def test_energy(case):
    # what speaks against the class is no energy: 3 + 1 + 2 + 1 of 8
    assert energy(case(IMAGE, [ON, OFF, -np.ones((3, 3))], truth=TRUTH)) == pytest.approx([7 / 8, 7 / 16, 0])


def test_overlaps_by_hand():
    # above 0.5·3: 3 and 2 on the target of 4; above 0.2·3: also 1, 1 on it and 1 off it
    values = np.maximum(np.array(ON, np.float32), 0)
    assert overlaps(values, np.array(TRUTH, bool), np.array([0.5, 0.2, 0.99])) == pytest.approx([2 / 4, 4 / 5, 1 / 4])


def test_nothing_of_a_blank_map_is_above_its_maximum():
    assert overlaps(np.zeros((3, 3), np.float32), np.array(TRUTH, bool), np.array([0.5])) == [0]


def test_iou_has_a_column_per_threshold(case):
    found = iou(case(IMAGE, [ON, OFF], truth=TRUTH))
    assert found.shape == (2, 19)
    assert found[0, :6] == pytest.approx(4 / 5)  # 0.05 to 0.30 of 3: everything above zero
    assert found[0, 6:13] == pytest.approx(2 / 4)  # 0.35 to 0.65: 3 and 2


def test_without_truth_there_is_no_answer(case):
    asked = case(IMAGE, [ON])
    assert np.isnan([*pointing(asked), *energy(asked), *iou(asked)[0]]).all()


def test_only_what_the_model_saw_counts(case):
    # the left column is outside the view, and so is the target
    asked = case(np.zeros((3, 2)), [[[0, 1], [0, 0], [0, 0]]], truth=[[1, 0, 0]] * 3)
    asked.view = View((3, 3), (1, 0, 3, 3), (2, 3))
    assert asked.seen_truth is None
    assert np.isnan(pointing(asked)).all()
    asked = case(np.zeros((3, 2)), [[[0, 1], [0, 0], [0, 0]]], truth=[[1, 0, 1]] * 3)
    asked.view = View((3, 3), (1, 0, 3, 3), (2, 3))
    assert pointing(asked).tolist() == [1]
    assert energy(asked).tolist() == [1]
    assert iou(asked).max() == pytest.approx(1 / 3)


def test_a_map_comes_back_onto_the_image_before_it_is_compared(case):
    # a 1×2 map over an image of 4×2: the right half
    asked = case(np.zeros((2, 4)), [[[0, 1]]], truth=[[0, 0, 1, 1]] * 2)
    assert pointing(asked).tolist() == [1]
    assert energy(asked) == pytest.approx([(0.75 + 1) / (0.25 + 0.75 + 1)])
