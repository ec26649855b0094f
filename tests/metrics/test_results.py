"""Means, intervals, ranks and tables of rows that are known."""

import csv
import io
import json

import numpy as np
import pytest

from tests.helpers.evaluations import RANDOM, A, B, evaluation


def test_one_threshold_is_chosen_for_all_images():
    # each image's own best would be 0.9; together the second threshold is
    found = evaluation({A: [([0.9, 0.6, 0.0],), ([0.0, 0.7, 0.9],)]}, ["iou"])
    assert found.summary(*A, "iou").mean == pytest.approx(0.65)
    assert [row["iou"] for row in csv.DictReader(io.StringIO(found.rows_csv()))] == ["0.6", "0.7"]


# best and rank


def test_the_best_by_the_direction_of_the_metric():
    found = evaluation({A: [(1, 1)], B: [(2, 2)], RANDOM: [(9, 0)]})
    assert found.best("insertion") == {B}
    assert found.best("deletion") == {A}
    assert evaluation({A: [(1, 1)], B: [(1, 2)]}).best("insertion") == set()


def test_ranking_is_by_mean_rank_without_baselines():
    found = evaluation({A: [(1, 1), (1, 1)], B: [(2, 0), (2, 0)], RANDOM: [(9, -9)] * 2})
    assert [(one.method, one.rank, one.wins) for one in found.ranking()] == [("layercam", 1, 1), ("gradcam", 2, 0)]
    torn = evaluation({A: [(1, 0)], B: [(2, 1)]})
    assert [one.rank for one in torn.ranking()] == [1.5, 1.5]
    assert [one.wins for one in torn.ranking()] == [0.5, 0.5]


def test_methods_that_are_the_same_share_their_rank():
    found = evaluation({A: [(1, 1)], B: [(1 + 1e-6, 1 - 1e-6)], ("cam", "l4"): [(0, 2)]})
    assert [one.rank for one in found.ranking()] == [1.5, 1.5, 3]
    assert found.best("insertion") == {A, B}


def test_only_faithfulness_and_localization_count_for_the_rank():
    found = evaluation({A: [(1, 0.9)], B: [(2, 0.1)]}, ["insertion", "sparsity"])
    assert found.ranking()[0].method == "layercam"
    assert evaluation({A: [(0.9,)]}, ["sparsity"]).ranking() == []
    unknown = evaluation({A: [(1, np.nan)], B: [(2, np.nan)]}, ["insertion", "pointing"])
    assert unknown.ranking()[0].rank == 1


def test_baselines_come_last():
    assert evaluation({RANDOM: [(0, 0)], A: [(0, 0)]}).names == [A, RANDOM]


# telling


def test_json_and_csv_say_the_same():
    found = evaluation({A: [(0.25, np.nan)], RANDOM: [(0.5, np.nan)]})
    first, second = map(json.loads, found.to_json().splitlines())
    assert first["insertion"] == {"mean": 0.25, "low": 0.25, "high": 0.25, "images": 1}
    assert first["deletion"] == {"mean": None, "low": None, "high": None, "images": 0}
    assert (first["place"], first["baseline"], second["baseline"]) == (1, False, True)
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert (rows[0]["method"], rows[0]["metric"], rows[0]["mean"]) == ("gradcam", "insertion", "0.25")
    assert rows[1]["mean"] == ""


def test_one_image_has_no_interval():
    assert "0.250*" in str(evaluation({A: [(0.25, 0.5)], B: [(0.125, 0.25)]}))
    assert "0.250±" not in str(evaluation({A: [(0.25, 0.5)]}))
    assert "0.375±" in str(evaluation({A: [(0.25, 0.5), (0.5, 0.5)]}))
