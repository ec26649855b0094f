"""The database: what goes in comes out, also after a kill, a full disk, or a newer version."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest

from camviz.errors import InputError, OutputError
from camviz.io.inputs import Input
from camviz.run.database.database import NAME, Database, key_of
from camviz.run.database.records import Record, SavedMap, failure, predictions
from camviz.run.output.written import Written
from camviz.types import Look, Request, SaliencyMap
from tests.helpers.stored_maps import IMAGE, saliency


@pytest.fixture
def record(tmp_path):
    """`record("a.png", …)`: an image that is done, with a map and a file."""

    def make(name: str = "a.png", *maps: SaliencyMap, **changed) -> Record:
        written = (Written(tmp_path / f"{name[0]}_gradcam.png", {"kind": "overlay", "low": 0.5}, 77),)
        saved = tuple(SavedMap.of(one) for one in maps or [saliency()])
        source = Input(tmp_path / "in" / name, name, stamp=(10, 20))
        return Record(source, **{"seconds": 0.5, "maps": saved, "written": written, **changed})

    return make


@pytest.fixture
def database(tmp_path):
    with Database(tmp_path, write=True) as opened:
        yield opened


@pytest.fixture
def job(database) -> int:
    return database.begin("heatmap", asdict(Request()), {"camviz": "1"}).id


def test_a_map_comes_back_bit_for_bit_with_all_it_had(database, job, record):
    made = saliency(score=float("nan"))
    made.values[0, 0] = np.nan
    database.add(job, record("a.png", made, saliency(1, index=None, probability=None)))
    [row] = database.inputs(job)
    first, second = (one.restored(IMAGE) for one in database.maps(row.id))
    assert first.values.dtype == np.float32
    assert first.values.tobytes() == made.values.tobytes()
    assert second.values.tobytes() == saliency(1).values.tobytes()
    assert np.isnan(first.score)
    for one in fields(SaliencyMap):
        if one.name not in ("values", "score"):
            assert getattr(first, one.name) == getattr(made, one.name), one.name
    assert (second.index, second.probability, second.score) == (None, None, 1.25)


def test_a_restored_map_draws_the_same_image(database, job, record):
    from camviz.render import draw

    database.add(job, record())
    [row] = database.inputs(job)
    look = Look("panel", sign="both")
    again = draw(IMAGE, database.maps(row.id)[0].restored(IMAGE), look)
    assert np.array_equal(again.pixels, draw(IMAGE, saliency(), look).pixels)


def test_what_is_known_of_a_image(database, job, record, tmp_path):
    assert database.known(job, "a.png") is None
    database.add(job, record())
    known = database.known(job, "a.png")
    assert (known.state, known.size, known.mtime_ns, known.files) == ("done", 10, 20, 1)
    assert [(file.path, file.size) for file in known.there] == [("a_gradcam.png", 77)]
    assert database.known(job + 1, "a.png") is None


def test_the_row_of_a_image(database, job, record, tmp_path):
    database.add(job, record(predictions=predictions([saliency()] * 2)))
    [row] = database.inputs(job)
    assert (row.job, row.name, row.path, row.state, row.seconds) == (
        job,
        "a.png",
        tmp_path / "in" / "a.png",
        "done",
        0.5,
    )
    assert row.predictions == [{"label": "猫", "index": 3, "score": 1.25, "probability": 0.5}]
    assert (row.error, row.hint, row.traceback) == (None, None, None)
    [file] = database.files(row.id)
    assert (file.path, file.kind, file.size, file.facts["low"]) == ("a_gradcam.png", "overlay", 77, 0.5)


def test_a_failure_is_kept_with_its_traceback(database, job, tmp_path):
    try:
        raise InputError("'a' is damaged", "copy it again")
    except InputError as error:
        database.add(job, failure(Input(tmp_path / "a", "a"), error))
    [row] = database.inputs(job)
    assert (row.state, row.error, row.hint) == ("failed", "'a' is damaged", "copy it again")
    assert "test_database.py" in row.traceback
    assert database.counts(job) == {"done": 0, "failed": 1}
    assert list(database.inputs(job, "done")) == []


def test_an_image_done_again_replaces_what_was_known(database, job, record):
    database.add(job, record("a.png", saliency(), saliency()))
    database.add(job, record("a.png", saliency(1)))
    [row] = database.inputs(job)
    assert len(database.maps(row.id)) == len(database.files(row.id)) == 1
    assert database._db.execute("SELECT count(*) FROM maps").fetchone() == (1,)


def test_a_file_belongs_to_the_job_that_wrote_it_last(database, job, record):
    other = database.begin("heatmap", asdict(Request(seed=1)), {}).id
    database.add(job, record())
    database.add(other, record())
    assert database.known(job, "a.png").there == ()
    assert database.known(job, "a.png").files == 1
    assert len(database.known(other, "a.png").there) == 1
    assert len(list(database.inputs(job))) == 1


def test_names_that_are_no_utf_8(database, job, record):
    name = os.fsdecode(b"\xff.png")
    database.add(job, record(name))
    [row] = database.inputs(job)
    assert row.name == name
    assert row.path.name == name
    assert [file.path for file in database.known(job, name).there] == [f"{name[0]}_gradcam.png"]


# jobs


def test_the_same_settings_are_the_same_job(database):
    first = database.begin("heatmap", asdict(Request()), {"camviz": "1"})
    assert database.begin("heatmap", asdict(Request()), {"camviz": "2"}) == first
    assert database.begin("heatmap", asdict(Request(seed=1)), {}) != first
    assert database.begin("features", asdict(Request()), {}) != first
    assert [job.command for job in database.jobs()] == ["heatmap", "heatmap", "features"]
    assert first.settings["look"]["layout"] == "overlay"
    assert first.versions == {"camviz": "1"}


@pytest.mark.parametrize(
    ("changed", "same"), [({"device": "cuda"}, True), ({"batch_size": 3}, True), ({"seed": 3}, False)]
)
def test_what_changes_no_result_is_not_in_the_key(changed, same):
    assert (key_of("heatmap", asdict(Request(**changed))) == key_of("heatmap", asdict(Request()))) is same


def test_the_batch_that_fits_is_remembered(database, job):
    database.remember_batch(job, 4)
    assert database.jobs()[0].batch_size == 4


# the file


def test_a_closed_database_is_one_plain_file(tmp_path, record):
    with Database(tmp_path, write=True) as database:
        database.add(database.begin("heatmap", {}, {}).id, record())
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    with Database(tmp_path) as again:
        assert again.counts(1)["done"] == 1
        with pytest.raises(OutputError, match="readonly"):
            again.begin("heatmap", {"x": 1}, {})


def test_it_is_read_while_it_is_written(tmp_path, database, job, record):
    database.add(job, record("a.png"))
    database.commit()
    database.add(job, record("b.png"))
    with Database(tmp_path) as reader:
        assert [row.name for row in reader.inputs(job)] == ["a.png"]
        database.commit()
        assert len(list(reader.inputs(job))) == 2


def test_an_image_interrupted_on_its_way_in_is_not_in_at_all(tmp_path, record, monkeypatch):
    with Database(tmp_path, write=True) as database:
        job = database.begin("heatmap", {}, {}).id
        database.add(job, record("a.png"))
        monkeypatch.setattr(database, "relative", lambda _: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            database.add(job, record("b.png"))
    with Database(tmp_path) as database:
        assert [row.name for row in database.inputs(job)] == ["a.png"]


def test_what_was_committed_survives_a_kill(tmp_path, record):
    code = (
        "import os, pickle, sys; from dataclasses import replace; from pathlib import Path\n"
        "from camviz.run.database.database import Database\n"
        "database = Database(Path(sys.argv[1]), write=True); job = database.begin('heatmap', {}, {}).id\n"
        "record = pickle.load(sys.stdin.buffer); database.add(job, record); database.commit()\n"
        "database.add(job, replace(record, source=replace(record.source, name='b')))\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], input=pickle.dumps(record()), check=False)
    with Database(tmp_path, write=True) as database:
        assert [row.name for row in database.inputs(1)] == ["a.png"]


def test_no_database_no_run(tmp_path):
    with pytest.raises(OutputError, match="no run in"):
        Database(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [True, False])
def test_what_is_no_database(tmp_path, write):
    (tmp_path / NAME).write_text("words, and many of them " * 99)
    with pytest.raises(OutputError, match="is damaged") as caught:
        Database(tmp_path, write)
    assert "move" in caught.value.hint


@pytest.mark.parametrize("write", [True, False])
def test_a_database_of_a_newer_version_is_left_alone(tmp_path, write):
    Database(tmp_path, write=True).close()
    with sqlite3.connect(tmp_path / NAME) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(OutputError, match="newer camviz"):
        Database(tmp_path, write)


def first_version(folder: Path) -> None:
    """Make a closed database what the first release wrote."""
    with sqlite3.connect(folder / NAME) as db:
        db.executescript("ALTER TABLE inputs DROP COLUMN stem; PRAGMA user_version = 1")


def test_stems_come_back(database, job, tmp_path):
    database.add(job, Record(Input(tmp_path / "a.png", "a.png")))
    database.add(job, Record(Input(tmp_path / "b.png", "b.png", stem="b.png")))
    assert [(one.name, one.stem, one.source.stem) for one in database.inputs(job)] == [
        ("a.png", "a", "a"),
        ("b.png", "b.png", "b.png"),
    ]


@pytest.mark.parametrize("write", [True, False])
def test_a_database_of_the_first_version_is_read_and_extended(tmp_path, record, write):
    with Database(tmp_path, write=True) as database:
        job = database.begin("heatmap", {}, {}).id
        database.add(job, record("a.png"))
    first_version(tmp_path)
    with Database(tmp_path, write) as database:
        if write:
            database.add(job, record("b.png"))
        stems = [one.stem for one in database.inputs(job)]
    assert stems == ["a.png", *(["b"] if write else [])]  # a whole name collides with nothing


def test_a_shard_of_the_first_version_is_absorbed(tmp_path, record):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    with Database(tmp_path / "old", write=True) as database:
        database.add(database.begin("heatmap", {}, {}).id, record("a.png"))
    first_version(tmp_path / "old")
    with Database(tmp_path / "new", write=True) as database:
        database.add(database.begin("heatmap", {}, {}).id, record("b.png"))
        database.absorb(tmp_path / "old" / NAME)
        assert [one.stem for one in database.inputs(1)] == ["a.png", "b"]


def test_a_folder_that_is_gone_is_noticed(tmp_path, record):
    import shutil

    out = tmp_path / "out"
    out.mkdir()
    database = Database(out, write=True)
    shutil.rmtree(out)
    with pytest.raises(OutputError, match="removed under way"):
        database.close()
    assert not out.exists()


def test_it_is_read_without_torch_or_opencv():
    code = "import sys, camviz.run.database.database; sys.exit(bool({'torch', 'cv2', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# opening


def test_a_foreign_database_is_refused_untouched(tmp_path, monkeypatch):
    for version in (0, 1, 99):
        path = tmp_path / str(version) / NAME
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE photos (id)")
            db.execute(f"PRAGMA user_version = {version}")
        before = path.read_bytes(), path.stat().st_mtime_ns
        for write in (False, True):
            with pytest.raises(OutputError, match="not a run database"):
                Database(path.parent, write=write)
        assert (path.read_bytes(), path.stat().st_mtime_ns) == before
        assert [one.name for one in path.parent.iterdir()] == [NAME]


def test_what_was_written_last_is_read_from_a_copied_folder(tmp_path, record):
    with Database(tmp_path, write=True) as database:
        job = database.begin("heatmap", {}, {}).id
        database.add(job, record())
        database.commit()
        copy = tmp_path / "copy"
        copy.mkdir()
        for end in ("", "-wal"):  # as of a killed run, without the -shm file
            shutil.copy(tmp_path / f"{NAME}{end}", copy)
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    with Database(copy) as database:
        assert database.counts(job) == {"done": 1, "failed": 0}
        assert Path(database._aside).is_dir()
    assert not Path(database._aside).exists()
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
    with Database(copy, write=True) as database:
        assert database.counts(job) == {"done": 1, "failed": 0}
