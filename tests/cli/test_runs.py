"""The commands about an earlier run, as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.helpers.runs import make_run


class Evil:
    """Writes a file when it is unpickled with trust."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


MAPS = [{"facets": ("gradcam",)}, {"method": "layercam", "facets": ("layercam",)}]
COMMANDS = ["restyle", "replay", "report", "export"]


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A run of two images and one failure in the current folder: out."""
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path / "out", ["a.png", "x/b.png"], MAPS, failed=("bad.png",))


@pytest.mark.parametrize("command", COMMANDS)
def test_no_run(run, made, refused, tmp_path, command):
    refused(run(command), "no RUN", f"camviz {command} camviz_out")
    refused(run(command, "."), "no run in '.'", "camviz heatmap")
    refused(run(command, "gone"), "no run in 'gone'")
    assert not (tmp_path / "gone").exists()
    refused(run(command, "out", "--job", "zzz"), "no job 'zzz' in 'out'", made.key, "heatmap gradcam, 3 image(s)")


@pytest.mark.parametrize("command", ["restyle", "replay"])
def test_a_job_without_maps(run, made, refused, tmp_path, command):
    from camviz.run.database.database import Database

    with Database(tmp_path / "out", write=True) as database:
        other = database.begin("features", {}, {})
    refused(run(command, "out", "--job", other.key), "'camviz features'", "--job chooses another, of 'camviz heatmap'")


@pytest.mark.parametrize("command", ["restyle", "report", "export"])
def test_torch_is_not_imported(made, tmp_path, command):
    code = "import sys\nfrom camviz.cli.app import app\ntry: app(sys.argv[1:])\nfinally: print(\
sorted({'torch', 'torchvision'} & set(sys.modules)), file=sys.stderr)"
    call = [sys.executable, "-c", code, command, "out"]
    done = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"


# restyle


def test_restyle_writes_what_was_asked(run, made, tmp_path, written):
    result = run("restyle", "out", "--colormap", "jet", "--format", "jpg", "-o", "new", "--quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    files = ["a_gradcam.jpg", "a_layercam.jpg", "x/b_gradcam.jpg", "x/b_layercam.jpg"]
    assert sorted(result.stdout.splitlines()) == [f"new/{name}" for name in files]
    assert written(tmp_path / "new") == files
    facts = [json.loads(line) for line in run("restyle", "new", "--json", "-o", "other").stdout.splitlines()]
    assert {one["kind"] for one in facts} == {"overlay"}
    assert {os.path.dirname(one["path"]) for one in facts} == {"other", "other/x"}
    again = run("restyle", "new")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "nothing left to do, 2 done before" in again.stderr


def test_restyle_in_place_leaves_one_plain_database(run, made, tmp_path, written):
    before = written()
    assert run("restyle", "out", "--layout", "panel").exit_code == 0
    assert written() == before
    said = run("report", "out").stderr
    assert "the newest of 2 (--job chooses)" in said


@pytest.mark.parametrize(
    ("options", "quoted"),
    [
        (["--colormap", "vridis"], ["no color map 'vridis'", "did you mean 'viridis'"]),
        (["--layout", "pannel"], ["no layout 'pannel'"]),
        (["--scale", "fixed:x"], ["no scale 'fixed:x'"]),
        (["--sign", "minus"], ["'minus'", "--sign"]),
        (["--alpha", "3"], ["no alpha 3"]),
        (["-o", "out/a_gradcam.png"], ["cannot be a folder"]),
    ],
)
def test_restyle_refuses(run, made, refused, written, options, quoted):
    before = written()
    refused(run("restyle", "out", *options), *quoted)
    assert written() == before


def test_restyle_goes_on_after_a_image_that_is_gone(run, made, tmp_path):
    (tmp_path / "images" / "a.png").unlink()
    result = run("restyle", "out", "-o", "new")
    assert result.exit_code == 1
    assert "error: no file" in result.stderr
    assert [line.partition("_")[0] for line in result.stdout.splitlines()] == ["new/x/b"] * 2


# report and export


def test_report_writes_one_file(run, made, tmp_path):
    result = run("report", "out")
    assert (result.exit_code, result.stdout) == (0, "out/report.html\n")
    assert "2 images, 4 maps, 1 failed" in result.stderr
    assert "bad.png" in (tmp_path / "out/report.html").read_text("utf-8")
    assert run("report", "out", "-o", "elsewhere").stdout == "elsewhere/report.html\n"
    assert '"../out/a_gradcam.png"' in (tmp_path / "elsewhere/report.html").read_text("utf-8")


@pytest.mark.parametrize("format", ["csv", "jsonl", "npz"])
def test_export_writes_one_file(run, made, tmp_path, format):
    result = run("export", "out", "--format", format)
    assert (result.exit_code, result.stdout) == (0, f"out/maps.{format}\n")
    assert (tmp_path / "out" / f"maps.{format}").stat().st_size > 100
    assert run("export", "out", "--format", format, "-o", "deep/er").stdout == f"deep/er/maps.{format}\n"


def test_export_refuses_another_format(run, made, refused):
    refused(run("export", "out", "--format", "xlsx"), "'xlsx'", "'csv'")


# replay


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


def test_replay_writes_nothing_and_needs_no_right_to_write(replay, computed, monkeypatch):
    computed.chmod(0o500)
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # also for a superuser
    before = {path: path.stat() for path in [computed, *computed.iterdir()]}
    assert replay("--batch-size", 1).exit_code == 0
    assert {path: path.stat() for path in [computed, *computed.iterdir()]} == before
    computed.chmod(0o700)


def test_replay_of_a_changed_image_fails(replay, write_image, tmp_path):
    write_image(tmp_path / "b.png", seed=9)
    os.utime(tmp_path / "b.png", (1, 1))
    result = replay("--batch-size", 1)
    assert result.exit_code == 1
    assert "'" + str(tmp_path / "b.png") + "' has changed since the run" in result.stderr
    assert "equal: 4 map(s), bit for bit, 1 image(s) failed" in result.stderr


def test_files_of_another_job_are_not_written_over_without_a_word(heatmap, write_image, tmp_path):
    source = write_image(tmp_path / "a.png")
    assert "written over" not in heatmap(source, "--save-raw").stderr
    note = "note: 2 files of another job there are written over; -o OTHER_FOLDER keeps both"
    assert note in heatmap(source, "--save-raw", "--alpha", "0.9").stderr.splitlines()
    assert "note: 1 file of another job" in heatmap(source, "--alpha", "0.3").stderr
    assert "written over" not in heatmap(source, "--alpha", "0.3", "--overwrite").stderr


def test_a_run_that_is_done_says_what_does_it_again(heatmap, write_image, tmp_path):
    source = write_image(tmp_path / "a.png")
    assert "--overwrite" not in heatmap(source).stderr
    assert "1 done before in" in heatmap(source).stderr
    assert "--overwrite does it again" in heatmap(source).stderr


def test_a_panel_shows_its_scale_and_needs_no_word_about_it(heatmap, write_image, tmp_path):
    sources = write_image(tmp_path / "a.png"), write_image(tmp_path / "b.png", seed=1)
    assert "scale: each map has its own" in heatmap(*sources).stderr
    assert "scale:" not in heatmap(*sources, "--layout", "panel").stderr
    assert "scale:" not in heatmap(*sources, "--colorbar", "--overwrite").stderr
