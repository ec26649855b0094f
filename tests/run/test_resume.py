"""A run typed again does what is missing, changed or gone, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from camviz.run.database.database import Database
from tests.cli.test_fresh_process import WATCH


@pytest.fixture
def pics(tmp_path, write_image, monkeypatch) -> Path:
    """Three images in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        write_image(tmp_path / "pics" / f"{name}.png", seed=ord(name))
    return tmp_path / "pics"


def names(result) -> list[str]:
    return [Path(line).name for line in result.stdout.splitlines()]


ALL = ["a_gradcam.png", "b_gradcam.png", "c_gradcam.png"]


def test_the_same_command_again_does_nothing(heatmap, pics):
    assert names(heatmap("pics")) == ALL
    again = heatmap("pics")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "nothing left to do, 3 done before in " in again.stderr


def test_what_is_done_is_told_without_importing_torch(fresh, net_file, pics):
    fixed = ["heatmap", "pics", "--model", f"{net_file}:Net", "--input-size", "32", "-o", "out"]
    assert fresh(*fixed).returncode == 0
    done = subprocess.run([sys.executable, "-c", WATCH, *fixed], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "imported:"


def test_only_what_is_missing_or_changed_is_done(heatmap, pics, write_image):
    heatmap("pics")
    write_image(pics / "d.png")
    write_image(pics / "b.png", seed=99)
    os.utime(pics / "b.png", ns=(1, 1))
    assert names(heatmap("pics")) == ["b_gradcam.png", "d_gradcam.png"]


@pytest.mark.parametrize("spoil", [os.unlink, lambda path: Path(path).write_bytes(b"")])
def test_a_result_that_is_gone_or_cut_is_made_again(heatmap, pics, tmp_path, spoil):
    heatmap("pics")
    before = (tmp_path / "out" / "b_gradcam.png").read_bytes()
    spoil(tmp_path / "out" / "b_gradcam.png")
    assert names(heatmap("pics")) == ["b_gradcam.png"]
    assert (tmp_path / "out" / "b_gradcam.png").read_bytes() == before


@pytest.mark.parametrize("options", [[], ["--scale", "run"]])
def test_a_figure_of_equal_size_and_other_content_is_made_again(heatmap, pics, tmp_path, options):
    heatmap("pics", *options)
    path = tmp_path / "out" / "b_gradcam.png"
    before = path.read_bytes()
    path.write_bytes(before[:-20] + bytes(20))
    assert names(heatmap("pics", *options)) == ["b_gradcam.png"]
    assert path.read_bytes() == before


def test_a_copied_run_is_done(heatmap, pics, tmp_path):
    heatmap("pics")
    shutil.copytree(tmp_path / "out", tmp_path / "copy", copy_function=shutil.copyfile)  # new times
    assert heatmap("pics", "-o", tmp_path / "copy").stdout == ""


def test_a_dry_run_needs_no_right_to_write(heatmap, pics, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    assert heatmap("pics").exit_code == 2
    assert names(heatmap("pics", "--dry-run")) == ["a.png", "b.png", "c.png"]
    assert os.listdir(tmp_path / "out") == []


def test_a_wrong_request_that_is_noticed_late_leaves_no_folder(run, pics, net_file, tmp_path):
    options = ["--model", f"{net_file}:Net", "--model", f"{net_file}:Net", "--layer", "nope", "--input-size", 32]
    result = run("compare", "pics", *options, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "'nope'" in result.stderr
    assert not (tmp_path / "out").exists()


def test_overwrite_does_everything_again(heatmap, pics):
    heatmap("pics")
    assert names(heatmap("pics", "--overwrite")) == ALL


def test_what_failed_waits_for_retry(heatmap, pics):
    (pics / "b.png").write_text("words")
    assert heatmap("pics").exit_code == 1
    again = heatmap("pics", "-q")
    assert (again.exit_code, again.stdout) == (1, "")
    assert "1 image failed" in again.stderr
    assert "--retry" in again.stderr
    assert "b.png' is not an image" in heatmap("pics", "--retry").stderr
    assert heatmap("pics").stdout == ""


def test_a_failed_image_that_was_mended_is_done(heatmap, pics, write_image):
    (pics / "b.png").write_text("words")
    heatmap("pics")
    write_image(pics / "b.png")
    mended = heatmap("pics")
    assert (mended.exit_code, names(mended)) == (0, ["b_gradcam.png"])


def test_a_file_that_is_not_there_is_told_every_time(heatmap, pics):
    for _ in range(2):
        result = heatmap("gone.png", "-q")
        assert result.exit_code == 1
        assert "no file 'gone.png'" in result.stderr


def test_other_settings_are_another_job(heatmap, pics, tmp_path):
    heatmap("pics")
    assert names(heatmap("pics", "--target", "1")) == ALL
    with Database(tmp_path / "out") as database:
        assert [database.counts(job.id)["done"] for job in database.jobs()] == [3, 3]
    assert names(heatmap("pics")) == ALL  # the other job has replaced its files
    assert heatmap("pics").stdout == ""


def test_another_batch_or_device_is_the_same_job(heatmap, pics):
    heatmap("pics")
    assert heatmap("pics", "--batch-size", "3", "--device", "cpu").stdout == ""


def test_other_weights_under_the_same_name_are_another_job(heatmap, pics, net, tmp_path):
    import torch

    torch.save(net(seed=1).state_dict(), tmp_path / "w.pth")
    assert names(heatmap("pics", "--checkpoint", "w.pth")) == ALL
    assert heatmap("pics", "--checkpoint", "w.pth").stdout == ""
    torch.save(net(seed=2).state_dict(), tmp_path / "w.pth")
    assert names(heatmap("pics", "--checkpoint", "w.pth")) == ALL


def test_a_dry_run_lists_what_is_missing_and_makes_nothing(heatmap, pics, tmp_path, write_image):
    dry = heatmap("pics", "--dry-run")
    assert dry.stdout.splitlines() == [f"pics/{name}.png" for name in "abc"]
    assert not (tmp_path / "out").exists()
    heatmap("pics")
    write_image(pics / "d.png")
    dry = heatmap("pics", "--dry-run")
    assert dry.stdout.splitlines() == ["pics/d.png"]
    assert "1 to do, 3 done before" in dry.stderr
    assert not (tmp_path / "out" / "d_gradcam.png").exists()


@pytest.mark.parametrize("batch", ["2", "3", "8"])
def test_a_result_does_not_depend_on_the_batch(heatmap, pics, write_image, tmp_path, batch):
    write_image(pics / "d.png", 90, 30)
    options = ["--fit", "whole", "--batch-size", batch, "--save-raw"]
    heatmap("pics", *options)
    together = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*_gradcam.*")}
    shutil.rmtree(tmp_path / "out")
    for name in "dcba":
        heatmap(f"pics/{name}.png", *options)
    alone = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*_gradcam.*")}
    assert len(alone) == 8
    assert alone == together


def test_the_database_knows_what_was_done(heatmap, pics, tmp_path):
    (pics / "b.png").write_text("words")
    heatmap("pics", "--target", "top2", "--save-raw")
    with Database(tmp_path / "out") as database:
        [job] = database.jobs()
        assert (job.command, job.settings["targets"]) == ("heatmap", ["top2"])
        done, failed, _ = database.inputs(job.id)
        assert (done.name, failed.name, failed.state) == ("a.png", "b.png", "failed")
        assert "not an image" in failed.error
        assert "Traceback" in failed.traceback
        assert (done.size, done.mtime_ns) == (os.stat(pics / "a.png").st_size, os.stat(pics / "a.png").st_mtime_ns)
        maps, files = database.maps(done.id), database.files(done.id)
        for one in maps:
            raw = np.load(tmp_path / "out" / f"a_gradcam_{one.fields['facets'][0]}.npy")
            assert raw.tobytes() == one.values.tobytes()
        assert len(maps) == len(done.predictions) == 2
        assert [file.size for file in files] == [os.path.getsize(tmp_path / "out" / file.path) for file in files]


def test_features_go_on_where_they_were(run, pics, net_file, write_image, tmp_path):
    fixed = ["features", "pics", "--model", f"{net_file}:Net", "--input-size", 32, "-o", "out"]
    assert names(run(*fixed)) == [f"{name}_features.png" for name in "abc"]
    write_image(pics / "d.png")
    assert names(run(*fixed)) == ["d_features.png"]
    assert run(*fixed).stdout == ""
    shared = [*fixed, "--scale", "run"]
    assert len(names(run(*shared))) == 4
    assert run(*shared).stdout == ""
    write_image(pics / "e.png")
    assert len(names(run(*shared))) == 5  # one scale for all
