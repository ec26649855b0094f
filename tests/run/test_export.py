"""The table of a run, and its arrays."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from camviz.errors import RequestError
from camviz.io.inputs import without_suffix
from camviz.run.database.database import Database
from camviz.run.export import COLUMNS, write_export
from tests.helpers.runs import AWKWARD, make_run

OTHER = {
    "method": "layercam",
    "target": '图, "b"\nc',
    "probability": None,
    "facets": ("layercam",),
    "facts": {"predicted": "dog", "confidence": 0.5},
}
MAPS = [{"facets": ("gradcam",)}, OTHER]


@pytest.fixture
def exported(tmp_path):
    make_run(tmp_path / "run", AWKWARD, MAPS, failed=("bad.png",), save_raw=True)

    def export(format: str):
        with Database(tmp_path / "run") as database:
            return write_export(database, database.newest(), tmp_path / "run", format)

    return export


def test_csv_and_jsonl_say_the_same(exported):
    with exported("csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    lines = [json.loads(line) for line in exported("jsonl").read_text("ascii").splitlines()]
    assert list(table[0]) == list(lines[0]) == list(COLUMNS)
    assert len(table) == len(lines) == 2 * len(AWKWARD) + 1
    for row, one in zip(table, lines, strict=True):
        told = {**one, "files": "\n".join(one["files"])}
        assert row["files"].count("\n") == (1 if row["method"] else 0)
        assert row == {name: "" if value is None else str(value) for name, value in told.items()}


def test_a_row_says_what_the_map_is(exported, tmp_path):
    lines = [json.loads(line) for line in exported("jsonl").read_text().splitlines()]
    [first, second] = [one for one in lines if one["input"] == AWKWARD[0]]
    with np.load(exported("npz")) as arrays:
        values = arrays[f"{without_suffix(AWKWARD[0])}_gradcam"]
    assert (first["min"], first["max"]) == (values.min(), values.max())
    assert (first["height"], first["width"], first["state"]) == (3, 4, "done")
    assert (first["score"], first["probability"], second["probability"]) == (2.5, 0.75, None)
    assert first["files"] == [f"{without_suffix(AWKWARD[0])}_gradcam{suffix}" for suffix in (".npy", ".png")]
    assert (second["method"], second["target"]) == ("layercam", OTHER["target"])
    assert (second["predicted"], second["confidence"], first["predicted"]) == ("dog", 0.5, None)
    assert (tmp_path / "run" / second["files"][0]).is_file()
    [bad] = [one for one in lines if one["state"] == "failed"]
    assert (bad["input"], bad["hint"], bad["files"], bad["max"]) == ("bad.png", "copy it again", [], None)
    assert "damaged" in bad["error"]


def test_npz_holds_every_map_bit_for_bit(exported, tmp_path):
    with np.load(exported("npz")) as arrays, Database(tmp_path / "run") as database:
        assert set(arrays) == {
            f"{without_suffix(name)}_{method}" for name in AWKWARD for method in ("gradcam", "layercam")
        }
        for one in database.inputs(database.newest().id, "done"):
            for each in database.maps(one.id):
                found = arrays[f"{one.stem}_{each.fields['method']}"]
                assert (found.dtype, found.tobytes()) == (np.float32, each.values.tobytes())


def test_a_failure_leaves_no_half_file(tmp_path):
    with Database(tmp_path, write=True) as database:
        row = database.begin("features", {}, {})
        with pytest.raises(RequestError, match="keeps no maps"):
            write_export(database, row, tmp_path, "npz")
    assert [path.name for path in tmp_path.iterdir()] == ["camviz.sqlite"]
