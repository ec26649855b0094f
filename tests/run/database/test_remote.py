"""A database in a store: sent there every half minute, and when all is done."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest

from camviz.errors import OutputError
from camviz.io.paths import place, read_bytes
from camviz.run.database.remote import Copy


@pytest.fixture
def clock(monkeypatch):
    """`clock[0]` is the time."""
    now = [1000.0]
    monkeypatch.setattr("camviz.run.database.remote.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


URL = place("memory://run/camviz.sqlite")


def rows_there(tmp_path) -> int:
    (tmp_path / "there.sqlite").write_bytes(read_bytes(URL))
    with closing(sqlite3.connect(tmp_path / "there.sqlite")) as db:
        return db.execute("SELECT COUNT(*) FROM t").fetchone()[0]


def test_what_is_committed_is_sent_every_half_minute(store, clock, tmp_path):
    copy = Copy(URL)
    with closing(sqlite3.connect(copy.path)) as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES (1)")
        db.commit()
        clock[0] += 29.9
        copy.send_now_and_then(db)
        assert not URL.exists()
        clock[0] += 0.2
        copy.send_now_and_then(db)
        assert rows_there(tmp_path) == 1
        db.execute("INSERT INTO t VALUES (2)")
        db.commit()
        clock[0] += 29.8
        copy.send_now_and_then(db)
        assert rows_there(tmp_path) == 1
        clock[0] += 0.3
        copy.send_now_and_then(db)
        assert rows_there(tmp_path) == 2
    folder = copy.path.parent
    copy.close()
    assert not folder.exists()


def test_sending_that_takes_long_is_done_less_often(store, clock, tmp_path, monkeypatch):
    """A twentieth of the time at most."""
    sent = []

    def slow(url, data):
        sent.append(clock[0])
        clock[0] += 3

    monkeypatch.setattr("camviz.run.database.remote.write_bytes", slow)
    copy = Copy(URL)
    with closing(sqlite3.connect(copy.path)) as db:
        for _ in range(100):
            clock[0] += 1
            copy.send_now_and_then(db)
    copy.close()
    assert sent == [1030.0, 1093.0]


def test_a_run_goes_on_from_what_was_sent(store, tmp_path):
    first = Copy(URL)
    with closing(sqlite3.connect(first.path)) as db:
        db.execute("CREATE TABLE t (x)")
    first.send()
    first.close()
    second = Copy(URL)
    assert second.path.read_bytes() == read_bytes(URL)
    second.close()


def test_a_store_that_refuses_is_told(store, monkeypatch, tmp_path):
    def refuse(*_):
        raise PermissionError(13, "no rights")

    copy = Copy(URL)
    copy.path.write_bytes(b"1")
    monkeypatch.setattr("camviz.run.database.remote.write_bytes", refuse)
    with pytest.raises(OutputError, match=r"cannot write 'memory://run/camviz.sqlite': no rights"):
        copy.send()
    copy.close()
    monkeypatch.setattr("camviz.run.database.remote.read_bytes", refuse)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(OutputError, match=r"cannot read 'memory://run/camviz.sqlite': no rights"):
        Copy(URL)
    assert not list(tmp_path.iterdir())
