"""Similarity of patches: points, cosines and mutual nearest neighbors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from camviz.errors import RequestError
from camviz.feature_maps.patch_similarity import Point, cell_at, cosines, mutual_matches, query_at
from camviz.types import View
from tests.helpers.feature_maps import maps

VIEW = View((100, 80), (10.0, 0.0, 90.0, 80.0), (64, 64))


@pytest.fixture
def random():
    return np.random.default_rng(4)


def test_a_point_is_parsed_from_the_right(write_image, tmp_path):
    path = write_image(tmp_path / "a:b.png")
    assert Point.parse(f"{path}:12,7.5") == Point(str(path), 12.0, 7.5)


@pytest.mark.parametrize(("text", "quoted"), [("{0}", "{0}"), ("{0}:1", "{0}:1"), ("none.png:1,2", "none.png")])
def test_another_form_of_a_point_is_refused(text, quoted, write_image, tmp_path):
    path = write_image(tmp_path / "a.png")
    with pytest.raises(RequestError) as caught:
        Point.parse(text.format(path))
    assert quoted.format(path) in caught.value.message
    assert ":120,80" in caught.value.hint


@pytest.mark.parametrize(
    ("x", "y", "cell"), [(10, 0, (0, 0)), (29.9, 19.9, (0, 0)), (30, 20, (1, 1)), (89.9, 79.9, (3, 3))]
)
def test_the_cell_of_a_point_that_the_view_shows(x, y, cell):
    assert cell_at(VIEW, (4, 4), x, y) == cell


def test_cells_that_do_not_tile_the_input_are_where_they_were_measured():
    inner = replace(VIEW, cells=(0.25, 0.25, 0.75, 0.75))  # pixels 30 to 70 and 20 to 60
    assert cell_at(inner, (2, 2), 49, 39) == (0, 0)
    assert cell_at(inner, (2, 2), 51, 39) == (0, 1)
    assert cell_at(inner, (2, 2), 88, 78) == (1, 1)


@pytest.mark.parametrize(("x", "y"), [(5, 10), (95, 10), (50, 81)])
def test_a_point_that_the_model_does_not_see_is_refused(x, y):
    with pytest.raises(RequestError, match=f"{x},{y}"):
        cell_at(VIEW, (4, 4), x, y)


def test_cosines_are_those_of_the_formula(random):
    values, vector = random.normal(size=(5, 3, 4)).astype(np.float32), random.normal(size=5)
    values[:, 0, 0] = 0
    result = cosines(values, vector)
    for i, j in np.ndindex(3, 4):
        a = values[:, i, j].astype(np.float64)
        expected = 0 if not a.any() else a @ vector / np.linalg.norm(a) / np.linalg.norm(vector)
        assert result[i, j] == pytest.approx(expected, abs=1e-6)


def test_a_query_is_the_patch_at_its_point_with_the_median_below_its_scale(random):
    values = random.normal(size=(6, 4, 4)).astype(np.float32)
    query = query_at(maps(values), Point("a.png", 7.0, 1.0))
    assert np.array_equal(query.vector, values[:, 0, 3])
    assert query.low == round(float(np.median(cosines(values, query.vector))), 2)
    with pytest.raises(RequestError, match="zero"):
        query_at(maps(np.zeros((6, 4, 4), np.float32)), Point("a.png", 7.0, 1.0))


def test_mutual_matches_are_each_others_nearest(random):
    first = random.normal(size=(16, 3, 4)).astype(np.float32)
    order = random.permutation(12)
    second = (2 * first.reshape(16, 12)[:, order]).reshape(16, 4, 3)
    matches = mutual_matches(first, second)
    assert len(matches) == 12
    for match in matches:
        assert order[match.second[0] * 3 + match.second[1]] == match.first[0] * 4 + match.first[1]
        assert match.similarity == pytest.approx(1)
    few = mutual_matches(first, second, 3)
    assert len(few) <= 3
    apart = [max(np.abs(np.subtract(a.first, b.first))) for a in few for b in few if a is not b]
    assert min(apart, default=2) >= 2


def test_a_nearest_neighbor_that_is_not_mutual_is_no_match():
    first = np.array([[[1.0, 0.9]], [[0.0, 0.1]]], np.float32)  # both nearest to the one patch of the other image
    second = np.array([[[1.0]], [[0.0]]], np.float32)
    assert [match.first for match in mutual_matches(first, second)] == [(0, 0)]


def test_nearest_patches_do_not_depend_on_the_size_of_blocks(monkeypatch):
    random = np.random.default_rng(3)
    first, second = (random.standard_normal((4, 6, 5)).astype(np.float32) for _ in range(2))
    whole = mutual_matches(first, second)
    monkeypatch.setattr("camviz.feature_maps.patch_similarity._BLOCK", 7)
    assert [(m.first, m.second) for m in mutual_matches(first, second)] == [(m.first, m.second) for m in whole]
    unit = [each.reshape(4, -1) / np.linalg.norm(each.reshape(4, -1), axis=0) for each in (first, second)]
    table = unit[0].T @ unit[1]
    pairs = {(i, j) for i, j in enumerate(table.argmax(1)) if table[:, j].argmax() == i}
    assert {(m.first[0] * 5 + m.first[1], m.second[0] * 5 + m.second[1]) for m in whole} == pairs
