"""Other colors from the database: the same as if it had been drawn so at once."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace

import pytest

from camviz.run.database.database import Database
from camviz.run.restyle import restyle
from camviz.types import Look
from tests.helpers.runs import AWKWARD, make_run

MAPS = [{"facets": ("gradcam",)}, {"method": "layercam", "facets": ("layercam",)}]
LOOK = Look("panel", "viridis", 0.3, "both", "fixed:2", "webp")


@pytest.fixture
def redraw(tmp_path):
    """`redraw(look, folder)`: restyle the run; the paths written and who failed."""

    def draw(look: Look, folder=None, key=None):
        told = []
        (folder or tmp_path / "run").mkdir(exist_ok=True)
        with Database(tmp_path / "run", write=folder is None) as database:
            row = next(job for job in database.jobs() if key in (None, job.key))
            with Database(folder, write=True) if folder else nullcontext(database) as target:
                records = list(restyle(database, row, look, target, lambda *a: told.append(a)))
        return [file for record in records for file in record.written], [name for name, _ in told]

    return draw


def contents(folder):
    paths = sorted(path for path in folder.rglob("*.*") if path.name != "camviz.sqlite")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_the_files_are_those_that_the_look_had_made(redraw, tmp_path):
    make_run(tmp_path / "run", AWKWARD, MAPS)
    make_run(tmp_path / "as", AWKWARD, MAPS, look=LOOK)
    found, failed = redraw(LOOK, tmp_path / "new")
    assert failed == []
    assert contents(tmp_path / "new") == contents(tmp_path / "as")
    assert {str(one.path.relative_to(tmp_path / "new")) for one in found} == set(contents(tmp_path / "new"))


def test_the_new_folder_is_a_run_and_the_same_job(redraw, tmp_path):
    make_run(tmp_path / "run", ["a.png"], failed=("bad.png",))
    at_once = make_run(tmp_path / "as", ["a.png"], look=LOOK)
    assert redraw(LOOK, tmp_path / "new")[1] == []
    with Database(tmp_path / "new") as database, Database(tmp_path / "run") as before:
        [job] = database.jobs()
        assert job.key == at_once.key
        assert database.counts(job.id) == {"done": 1, "failed": 1}
        new, old = next(database.inputs(job.id)), next(before.inputs(1))
        assert (new.path, new.size, new.mtime_ns, new.predictions) == (
            old.path,
            old.size,
            old.mtime_ns,
            old.predictions,
        )
        [saved], [kept] = database.maps(new.id), before.maps(old.id)
        assert saved.values.tobytes() == kept.values.tobytes()
        [file] = database.files(new.id)
        assert (file.path, file.size) == ("a_gradcam.webp", (tmp_path / "new" / "a_gradcam.webp").stat().st_size)


def test_in_its_own_folder_and_back(redraw, tmp_path):
    first = make_run(tmp_path / "run", ["a.png", "b.png"], MAPS)
    before = contents(tmp_path / "run")
    redraw(replace(Look(), colormap="jet"))
    assert contents(tmp_path / "run") != before
    with Database(tmp_path / "run") as database:
        assert len(database.jobs()) == 2
        assert database.newest().key != first.key
    redraw(Look(), key=first.key)
    assert contents(tmp_path / "run") == before
    with Database(tmp_path / "run") as database:
        assert len(database.jobs()) == 2
        assert database.newest().key == first.key


def test_a_grid_of_all_maps_and_raw_files(redraw, tmp_path):
    make_run(tmp_path / "run", ["a.png"], MAPS, save_raw=True)
    redraw(Look("grid"), tmp_path / "new")
    assert set(contents(tmp_path / "new")) == {"a_grid.png", "a_gradcam.npy", "a_layercam.npy"}


def test_a_changed_image_is_told_and_the_others_go_on(redraw, tmp_path):
    make_run(tmp_path / "run", ["a.png", "b.png", "c.png"])
    os.utime(tmp_path / "images" / "b.png", (1, 1))
    (tmp_path / "images" / "c.png").unlink()
    found, failed = redraw(LOOK, tmp_path / "new")
    assert failed == ["b.png", "c.png"]
    assert [one.path.name for one in found] == ["a_gradcam.webp"]
    with Database(tmp_path / "new") as database:
        rows = {row.name: (row.files, len(database.files(row.id))) for row in database.inputs(1)}
    assert rows == {"a.png": (1, 1), "b.png": (1, 0), "c.png": (1, 0)}  # the last two are not complete


def test_an_interrupted_job_has_all_maps_and_is_continued(redraw, tmp_path):
    make_run(tmp_path / "run", ["a.png", "b.png", "c.png"], MAPS, failed=("bad.png",))
    make_run(tmp_path / "as", ["a.png", "b.png", "c.png"], MAPS, look=LOOK, failed=("bad.png",))
    with Database(tmp_path / "run", write=True) as database:
        drawing = restyle(database, database.newest(), LOOK, database, print)
        next(drawing)
        drawing.close()
        assert database.newest().settings["look"]["colormap"] == LOOK.colormap
        again = list(restyle(database, database.newest(), LOOK, database, print))
        assert [record.source.name for record in again] == ["b.png", "c.png"]
    assert contents(tmp_path / "run").items() >= contents(tmp_path / "as").items()


def test_a_copy_that_is_interrupted_leaves_no_images(redraw, tmp_path, monkeypatch):
    make_run(tmp_path / "run", ["a.png", "b.png"])
    with Database(tmp_path / "run", write=True) as database:
        first, added = database.newest(), []

        def add(job, record):
            added.append(record)
            if len(added) == 2:
                raise KeyboardInterrupt
            return Database.add(database, job, record)

        monkeypatch.setattr(database, "add", add)
        with pytest.raises(KeyboardInterrupt):
            list(restyle(database, first, LOOK, database, print))
    with Database(tmp_path / "run") as database:
        assert database.newest() == first


def test_new_maps_of_a_run_replace_those_of_an_earlier_restyle(redraw, tmp_path):
    first = make_run(tmp_path / "run", ["a.png", "b.png"])
    redraw(LOOK, tmp_path / "new")
    make_run(tmp_path / "run", ["b.png"], [{"score": 7.0}])
    found, _ = redraw(LOOK, tmp_path / "new", first.key)
    assert [(one.path.name, one.facts["score"]) for one in found] == [("b_gradcam.webp", 7.0)]
