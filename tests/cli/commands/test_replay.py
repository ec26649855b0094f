"""`camviz replay`, as it is typed."""

from __future__ import annotations

import json
import os

import pytest


class Evil:
    """Writes a file when it is unpickled with trust."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture
def computed(tmp_path, monkeypatch, net_file, write_image):
    """A run of the tiny model over three images in the current folder: out."""
    from dataclasses import asdict

    import camviz
    from camviz.io.inputs import Input
    from camviz.run.database.database import Database
    from camviz.run.database.records import Record, SavedMap
    from camviz.types import ModelRequest, Request

    monkeypatch.chdir(tmp_path)
    job = Request(ModelRequest("net.py:Net", input_size=(32, 32)), methods=("gradcam", "layercam"), targets=("1",))
    model = camviz.load("net.py:Net", input_size=(32, 32))
    (tmp_path / "out").mkdir()
    with Database(tmp_path / "out", write=True) as database:
        row = database.begin("heatmap", asdict(job), {"torch": "0.1", "nothing": "3"})
        for seed, name in enumerate("abc"):
            path = write_image(tmp_path / f"{name}.png", seed=seed)
            maps = camviz.explain(model, path, method=["gradcam", "layercam"], target="1")
            stamp = (path.stat().st_size, path.stat().st_mtime_ns)
            database.add(row.id, Record(Input(path, path.name, stamp=stamp), maps=tuple(map(SavedMap.of, maps))))
    return tmp_path / "out"


@pytest.fixture
def replay(run, computed):
    """`replay("--json")`: replay `computed` with its model named again."""
    return lambda *arguments: run("replay", "out", "--model", "net.py:Net", *arguments)


def test_replay_of_the_same_is_equal(replay, computed):
    result = replay("--batch-size", 1)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "equal: 6 map(s), bit for bit" in result.stderr
    assert "note: torch was 0.1, now" in result.stderr
    assert sorted(path.name for path in computed.iterdir()) == ["camviz.sqlite"]


def test_replay_of_another_model_is_not(replay, net_file):
    net_file.write_text(net_file.read_text().replace("seed: int = 0", "seed: int = 1"))
    result = replay("--json")
    assert result.exit_code == 1
    facts = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(facts) == 6
    assert all(not one["equal"] and one["difference"] > 0 for one in facts)
    assert "not equal: 0 of 6 map(s) bit for bit, 6 differ" in result.stderr
    assert "differs: a.png, gradcam" in result.stderr
    within = replay("--tolerance", 1e9)
    assert within.exit_code == 0
    assert "equal within the tolerance" in within.stderr


def test_replay_runs_a_python_file_only_if_it_is_named(run, computed, refused, net_file):
    canary = net_file.with_name("canary")
    net_file.write_text(f"open({str(canary)!r}, 'w').close()\n{net_file.read_text()}")
    refused(run("replay", "out"), "'net.py:Net'", "camviz replay out --model net.py:Net")
    assert not canary.exists()
    assert run("replay", "out", "--model", "net.py:Net", "--batch-size", 1).exit_code == 0
    assert canary.exists()


def test_replay_takes_trust_in_a_checkpoint_only_from_the_command_line(run, computed, refused, net_file):
    import torch

    from camviz.run.database.database import Database

    canary, path = net_file.with_name("canary"), net_file.with_name("evil.pth")
    torch.save({"state": Evil(str(canary))}, path)
    with Database(computed, write=True) as database:
        [job] = database.jobs()
        settings = job.settings | {"model": {"spec": "resnet18", "checkpoint": str(path), "allow_pickle": True}}
        database._db.execute("UPDATE jobs SET settings = ?", (json.dumps(settings),))
    refused(run("replay", "out"), str(path), "--allow-pickle")
    assert not canary.exists()
    run("replay", "out", "--allow-pickle")
    assert canary.exists()


def test_replay_names_another_number_of_threads(replay, monkeypatch, computed):
    from camviz.run.database.database import Database

    with Database(computed, write=True) as database:
        database._db.execute("UPDATE jobs SET versions = ?", (json.dumps({"threads": "64"}),))
    assert "the number of threads was 64, now 1" in replay("--batch-size", 1).stderr


def test_replay_writes_nothing_and_needs_no_right_to_write(replay, computed, monkeypatch):
    computed.chmod(0o500)
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # also for a superuser
    before = {path: path.stat().st_mtime_ns for path in [computed, *computed.iterdir()]}
    assert replay("--batch-size", 1).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in [computed, *computed.iterdir()]} == before
    computed.chmod(0o700)


def test_replay_of_a_changed_image_fails(replay, write_image, tmp_path):
    write_image(tmp_path / "b.png", seed=9)
    os.utime(tmp_path / "b.png", (1, 1))
    result = replay("--batch-size", 1)
    assert result.exit_code == 1
    assert "'" + str(tmp_path / "b.png") + "' has changed since the run" in result.stderr
    assert "equal: 4 map(s), bit for bit, 1 image(s) failed" in result.stderr
