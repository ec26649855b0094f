"""Reading a run back."""

from __future__ import annotations

import os
from dataclasses import asdict

import pytest

from camviz.errors import InputError, RequestError
from camviz.run.database.database import Ledger
from camviz.run.database.jobs import check_same, choose_job, files_of, heatmap_job, rebuilt
from camviz.types import Job, Look, ModelRequest
from tests.helpers.runs import make_run


def test_a_job_comes_back_from_its_settings(tmp_path):
    request = ModelRequest("net.py:Net", arguments=(("depth", "3"),), input_size=(32, 24), mean=(0.5,))
    look = Look("panel", colormap="jet", sign="both", colorbar=True)
    job = Job(request, ("a", "b"), settings=(("x", "1"),), seed=3, look=look)
    with Ledger(tmp_path, write=True) as ledger:
        row = ledger.begin("heatmap", {**asdict(job), "contents": {"net.py": "abc"}}, {})
        assert heatmap_job(row, "restyle") == job
        other = ledger.begin("features", {}, {})
    with pytest.raises(RequestError, match="'camviz features'"):
        heatmap_job(other, "restyle")


def test_what_is_missing_is_the_default():
    assert rebuilt(Look, {"layout": "panel", "shine": 3}) == Look("panel")


def test_the_job_worked_on_last_is_the_newest(tmp_path):
    first = make_run(tmp_path / "run", ["a.png"])
    second = make_run(tmp_path / "run", ["a.png"], seed=1)
    with Ledger(tmp_path / "run") as ledger:
        assert choose_job(ledger, None).key == second.key
        assert choose_job(ledger, first.key[:6]).key == first.key
        with pytest.raises(RequestError, match="could be 2 jobs") as caught:
            choose_job(ledger, "")
        assert first.key in caught.value.hint
        assert second.key in caught.value.hint
        with pytest.raises(RequestError, match="no job 'zzz'"):
            choose_job(ledger, "zzz")
    make_run(tmp_path / "run", ["a.png"])
    with Ledger(tmp_path / "run") as ledger:
        assert choose_job(ledger, None).key == first.key


def test_the_files_of_a_map(tmp_path):
    maps = [{"facets": ("x",)}, {"method": "layercam", "facets": ("y",)}]
    row = make_run(tmp_path / "run", ["a.png"], maps)
    with Ledger(tmp_path / "run") as ledger:
        [one] = ledger.inputs(row.id)
        files = ledger.files(one.id)
        assert [[f.path for f in files_of(m, files)] for m in ledger.maps(one.id)] == [["a.png.x.png"], ["a.png.y.png"]]


def test_a_picture_that_has_changed(tmp_path):
    row = make_run(tmp_path / "run", ["a.png"])
    with Ledger(tmp_path / "run") as ledger:
        [one] = ledger.inputs(row.id)
        check_same(one)
        os.utime(one.path, (1, 1))
        with pytest.raises(InputError, match="has changed since the run"):
            check_same(one)
