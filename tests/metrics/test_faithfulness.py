"""Scores are sums of pixels, so every curve is known."""

import numpy as np
import pytest
import torch

from camviz.metrics import METRICS
from camviz.metrics.faithfulness import (
    arcc,
    average_drop,
    blurred,
    deletion,
    increase,
    insertion,
    road,
    road_lerf,
    road_morf,
    single_deletion,
)

PIXELS = [[8.0, 4.0], [2.0, 1.0]]
RIGHT, WRONG = [[4, 3], [2, 1]], [[1, 2], [3, 4]]


def test_insertion(case):
    # from black, best first: 0, 8, 12, 14, 15; worst first: 0, 1, 3, 7, 15
    asked = case(PIXELS, [RIGHT, WRONG], forwards=5)
    areas = insertion(asked, start="black")
    assert areas == pytest.approx([(0 / 2 + 8 + 12 + 14 + 15 / 2) / 4, (0 / 2 + 1 + 3 + 7 + 15 / 2) / 4])


def test_deletion(case):
    # to black, best first: 15, 7, 3, 1, 0
    areas = deletion(case(PIXELS, [RIGHT, WRONG], forwards=5), end="black")
    assert areas == pytest.approx([(15 / 2 + 7 + 3 + 1) / 4, (15 / 2 + 14 + 12 + 8) / 4])


def test_fewer_forwards_make_larger_steps(case):
    # two pixels at a time: 0, 12, 15
    assert insertion(case(PIXELS, [RIGHT], forwards=3), start="black") == pytest.approx([(0 / 2 + 12 + 15 / 2) / 2])


@pytest.mark.parametrize("name", [entry.name for entry in METRICS if entry.facts["needs"] == "forwards"])
@pytest.mark.parametrize("forwards", [4, 7, 32])
def test_never_more_forwards_than_allowed(case, name, forwards):
    maps = [np.random.default_rng(0).random((16, 16)) for _ in range(3)]
    asked = case(np.random.default_rng(1).random((16, 16)), maps, forwards=forwards)
    METRICS.find(name).call(asked)
    shared = [total for total in asked.seen if total == 1]
    assert sum(asked.seen) - len(shared) <= len(maps) * (forwards - (len(shared) if len(shared) < 3 else 0))
    assert len(shared) <= 2  # the image as it is, and without its pixels: once for all maps


def test_average_drop_and_increase(case):
    # the map's positive part from 0 to 1: (1, 0; 0, 0) leaves 8 of 15; all alike in a blank map leaves 0
    asked = case(PIXELS, [[[2, -1], [0, 0]], [[0, 0], [0, 0]], [[2, 1], [0, 0]]])
    assert average_drop(asked) == pytest.approx([7 / 15, 1, 1 - (8 + 2) / 15])
    assert increase(asked).tolist() == [0, 0, 0]


def test_a_score_that_rises_is_an_increase_and_no_drop(case):
    # the other pixels speak against the class
    asked = case([[8.0, -4.0]], [[[1, 0]], [[0, 1]]])
    assert increase(asked).tolist() == [1, 0]
    assert average_drop(asked) == pytest.approx([0, 2])


def test_what_is_multiplied_is_the_image(case):
    asked = case([[1.0, 1.0, 1.0]], [[[1, 0.5, 0]]])
    asked.mean, asked.std = (0.5,), (0.25,)  # black is -2
    assert average_drop(asked) == pytest.approx([(3 - (1 - 0.5 - 2)) / 3])


def test_road_by_hand(case):
    asked = case(PIXELS, [RIGHT], forwards=2)  # one share, a half: two pixels
    # most relevant: 8 and 4 removed, 5a - 2b = 2·2 + 1 and 5b - 2a = 2·1 + 2
    a, b = (5 * 5 + 2 * 4) / 21, (5 * 4 + 2 * 5) / 21
    assert road_morf(asked, noise=0.0) == pytest.approx([a + b + 3], rel=1e-3)
    # least relevant: 2 and 1 removed: 5c - 2d = 2·8 + 4, 5d - 2c = 2·4 + 8
    c, d = (5 * 20 + 2 * 16) / 21, (5 * 16 + 2 * 20) / 21
    assert road_lerf(asked, noise=0.0) == pytest.approx([c + d + 12], rel=1e-3)
    assert road(asked, noise=0.0) == pytest.approx([(c + d + 12 - a - b - 3) / 2], rel=1e-3)


def test_road_percentiles_are_those_of_the_paper(case):
    image = np.random.default_rng(0).random((10, 10))
    counts = []

    def score(inputs):
        counts.extend((inputs != inputs.new_tensor(image.astype(np.float32))).sum((1, 2, 3)).tolist())
        return inputs.sum((1, 2, 3))

    road(case(image, [image], score=score), noise=0.5)
    assert counts == [10, 20, 30, 40, 50, 60, 70, 80, 90] * 2


def test_road_halves_share_their_forwards(case):
    asked = case(np.random.default_rng(0).random((8, 8)), [np.random.default_rng(1).random((8, 8))])
    whole = road(asked)
    before = sum(asked.seen)
    assert (road_lerf(asked) - road_morf(asked)) / 2 == pytest.approx(whole)
    assert sum(asked.seen) == before


def test_a_blurred_image_keeps_its_mean_and_loses_its_detail():
    image = torch.zeros(1, 21, 21)
    image[0, 10, 10] = 1
    soft = blurred(image, 2.0)
    assert float(soft.sum()) == pytest.approx(1, abs=1e-5)
    assert float(soft[0, 10, 10] / soft[0, 10, 12]) == pytest.approx(np.exp(0.5), rel=1e-4)
    assert torch.allclose(blurred(torch.ones(3, 5, 5), 4.0), torch.ones(3, 5, 5))


def test_an_image_to_start_from_that_does_not_exist(case):
    with pytest.raises(Exception, match="'gray'"):
        insertion(case(PIXELS, [RIGHT]), start="gray")


def test_how_much_is_left_without_pixels(case):
    asked = case(PIXELS, [RIGHT], forwards=5)
    insertion(asked, start="white")
    assert asked.left == {"insertion": pytest.approx(4 / 15)}


def test_single_deletion(case):
    # deleting a pixel takes 8, 4, 2 or 1 off the sum, so the ranks are 4 3 2 1; those of the last map are 4 3 1 2
    maps = [RIGHT, WRONG, [[4, 3], [1, 2]], [[1, 1], [1, 1]]]
    assert single_deletion(case(PIXELS, maps), grid=2, end="black") == pytest.approx([1, -1, 1 - 6 * 2 / (4 * 15), 0])


def test_patches_of_single_deletion_cover_every_pixel_once(case):
    deleted = []

    def score(inputs):
        deleted.append(inputs == 0)
        return inputs.sum((1, 2, 3))

    single_deletion(case(np.ones((7, 10)), [np.ones((7, 10))], score), grid=3, end="black")
    patches = deleted[-1].sum((0, 1))
    assert patches.tolist() == np.ones((7, 10)).tolist()
    assert sorted(deleted[-1].flatten(1).sum(1).tolist()) == sorted(r * c for r in (3, 2, 2) for c in (4, 3, 3))


def test_single_deletion_follows_signs_and_another_score(case):
    # the right half is against the class: deleting it raises the score
    asked = case([[3.0, -5.0], [1.0, -2.0]], [[[4, 0], [3, 1]], [[-4, 0], [-3, -1]]])
    assert single_deletion(asked, grid=2, end="black") == pytest.approx([1, -1])


def test_arcc_by_hand(case):
    # masked by its map (1, 0; 0, 0), the image has the map (1, 1; 0, 0): correlation 1/√3, complexity 1/4
    second = [[1.0, 1.0], [0.0, 0.0]]
    asked = case(PIXELS, [[[2, -1], [0, 0]], [[0, 0], [0, 0]]], forwards=2, again=lambda inputs: again(inputs))
    masked = []

    def again(inputs):
        masked.append(inputs)
        return [[np.array(second, np.float32)] * 2] * len(inputs)

    coherency, complexity = (1 / 3**0.5 + 1) / 2, 1 / 4
    sharpness = min(1, 2 * road(asked, noise=0.0)[0])
    assert 0 < sharpness <= 1
    expected = 3 / (1 / coherency + 1 / (1 - complexity) + 1 / sharpness)
    assert arcc(asked, noise=0.0)[0] == pytest.approx(expected)
    assert masked[0].tolist() == [[[[8, 0], [0, 0]]], [[[0, 0], [0, 0]]]]


def test_arcc_is_zero_where_a_part_is(case):
    # the least relevant pixel first: ROAD is negative and counts as 0
    asked = case(PIXELS, [WRONG], forwards=2, again=lambda inputs: [[np.array(WRONG, np.float32)]] * len(inputs))
    assert road(asked, noise=0.0)[0] < 0
    assert arcc(asked, noise=0.0).tolist() == [0]
