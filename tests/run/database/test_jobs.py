"""Reading a run back."""

from __future__ import annotations

import os
from dataclasses import asdict

import pytest

from camviz.errors import InputError, RequestError
from camviz.run.database.database import Database
from camviz.run.database.jobs import check_same, choose_job, files_of, heatmap_job, rebuilt
from camviz.types import Look, ModelRequest, Request
from tests.helpers.runs import make_run


def test_a_job_comes_back_from_its_settings(tmp_path):
    request = ModelRequest("net.py:Net", arguments=(("depth", "3"),), input_size=(32, 24), mean=(0.5,))
    look = Look("panel", colormap="jet", sign="both", colorbar=True)
    job = Request(request, ("a", "b"), settings=(("x", "1"),), seed=3, look=look)
    with Database(tmp_path, write=True) as database:
        row = database.begin("heatmap", {**asdict(job), "contents": {"net.py": "abc"}}, {})
        assert heatmap_job(row, "restyle") == job
        other = database.begin("features", {}, {})
    with pytest.raises(RequestError, match="'camviz features'"):
        heatmap_job(other, "restyle")


def test_what_is_missing_is_the_default():
    assert rebuilt(Look, {"layout": "panel", "shine": 3}) == Look("panel")


def test_the_job_worked_on_last_is_the_newest(tmp_path):
    first = make_run(tmp_path / "run", ["a.png"])
    second = make_run(tmp_path / "run", ["a.png"], seed=1)
    with Database(tmp_path / "run") as database:
        assert choose_job(database, None).key == second.key
        assert choose_job(database, first.key[:6]).key == first.key
        with pytest.raises(RequestError, match="could be 2 jobs") as caught:
            choose_job(database, "")
        assert first.key in caught.value.hint
        assert second.key in caught.value.hint
        with pytest.raises(RequestError, match="no job 'zzz'"):
            choose_job(database, "zzz")
    make_run(tmp_path / "run", ["a.png"])
    with Database(tmp_path / "run") as database:
        assert choose_job(database, None).key == first.key


def test_the_files_of_a_map(tmp_path):
    maps = [{"facets": ("x",)}, {"method": "layercam", "facets": ("y",)}]
    row = make_run(tmp_path / "run", ["a.png"], maps)
    with Database(tmp_path / "run") as database:
        [one] = database.inputs(row.id)
        files = database.files(one.id)
        assert [[f.path for f in files_of(m, files)] for m in database.maps(one.id)] == [
            ["a_gradcam_x.png"],
            ["a_layercam_y.png"],
        ]


def test_an_image_that_has_changed(tmp_path):
    row = make_run(tmp_path / "run", ["a.png"])
    with Database(tmp_path / "run") as database:
        [one] = database.inputs(row.id)
        check_same(one, urls=False)
        os.utime(one.path, (1, 1))
        with pytest.raises(InputError, match="has changed since the run"):
            check_same(one, urls=False)
