"""Shards are joined to what a single run would have been, or it is told why not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from camviz.run.database.database import Database
from camviz.run.distributed.shard import home
from camviz.run.output.folder import OutputFolder
from tests.helpers.runs import known, results

COUNT = 12


@pytest.fixture
def pics(tmp_path, write_image, monkeypatch) -> Path:
    """A dozen images in the current folder, some in a sub-folder, and one that is none."""
    monkeypatch.chdir(tmp_path)
    for number in range(COUNT):
        write_image(tmp_path / "pics" / ("deep" if number % 2 else ".") / f"{number}.png", seed=number)
    (tmp_path / "pics" / "bad.png").write_text("words")
    return tmp_path / "pics"


@pytest.fixture
def shard(heatmap, pics):
    """`shard(2)`: the second of four, or of as many as are said."""

    def invoke(number: int, *options: object, count: int = 4, images: str = "pics"):
        result = heatmap(images, "--shard", f"{number}/{count}", *options)
        assert result.exit_code in (0, 1), result.stderr
        return result

    return invoke


@pytest.fixture
def merge(run, tmp_path):
    return lambda *options: run("merge", tmp_path / "out", *options)


def single(heatmap, tmp_path, *options: object) -> Path:
    """What one run over everything makes."""
    shutil.copytree(tmp_path / "out", tmp_path / "shards")
    shutil.rmtree(tmp_path / "out")
    heatmap("pics", *options)
    return tmp_path / "out"


def test_four_shards_are_a_single_run(shard, merge, heatmap, tmp_path):
    told = [line for number in (3, 1, 4, 2) for line in shard(number, "--save-raw").stdout.splitlines()]
    assert len(set(told)) == len(told) == 2 * COUNT
    assert not (tmp_path / "out" / "camviz.sqlite").exists()
    merged = merge()
    assert (merged.exit_code, merged.stdout) == (0, f"{tmp_path}/out/camviz.sqlite\n")
    assert f"4 shards, {COUNT} images, 1 failed" in merged.stderr
    whole = single(heatmap, tmp_path, "--save-raw")
    assert sorted(os.listdir(whole)) == sorted(os.listdir(tmp_path / "shards"))
    assert results(whole) == results(tmp_path / "shards")
    assert known(whole) == known(tmp_path / "shards")


def test_a_merged_run_is_a_run(shard, merge, heatmap, run, tmp_path):
    for number in (1, 2):
        shard(number, count=2)
    merge()
    again = heatmap("pics")
    assert (again.exit_code, again.stdout) == (1, "")
    assert f"{COUNT} done before, 1 failed before" in again.stderr
    assert "12 map(s), bit for bit" in run("replay", tmp_path / "out", "--model", f"{tmp_path}/net.py:Net").stderr
    assert len(run("restyle", tmp_path / "out", "--colormap", "jet").stdout.splitlines()) == COUNT
    assert run("report", tmp_path / "out").exit_code == 0
    assert run("export", tmp_path / "out").exit_code == 0
    assert len((tmp_path / "out" / "maps.csv").read_text().splitlines()) == COUNT + 2


def test_shards_go_on_after_a_merge(shard, merge, pics, write_image, tmp_path):
    for number in (1, 2):
        shard(number, count=2)
    merge()
    new = write_image(pics / "new.png", seed=99)
    told = [shard(number, count=2).stdout.splitlines() for number in (1, 2)]
    assert [len(lines) for lines in told] == [home("new.png", 2) == 1, home("new.png", 2) == 2]
    assert merge().exit_code == 0
    with Database(tmp_path / "out") as database:
        assert database.counts(1) == {"done": COUNT + 1, "failed": 1}
    assert new.exists()


def test_a_shard_that_is_not_there(shard, merge, refused, tmp_path):
    for number in (1, 2, 4):
        shard(number)
    assert "--shard 3/4" in refused(merge(), "shard 3 of 4 is not in")
    assert len(list((tmp_path / "out").glob("camviz.shard*"))) == 3


def test_merging_again_is_done(shard, merge, tmp_path):
    for number in (1, 2):
        shard(number, count=2)
    assert merge().exit_code == 0
    before = known(tmp_path / "out")
    again = merge()
    assert (again.exit_code, again.stdout) == (0, f"{tmp_path}/out/camviz.sqlite\n")
    assert known(tmp_path / "out") == before


def test_shards_that_a_killed_merge_has_left_are_removed(shard, merge, tmp_path, monkeypatch):
    for number in (1, 2, 3):
        shard(number, count=3)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("camviz.shard-*")}
    merge()
    before = known(tmp_path / "out")
    for name in list(kept)[:2]:
        (tmp_path / "out" / name).write_bytes(kept[name])
    assert merge().exit_code == 0
    assert list((tmp_path / "out").glob("camviz.shard-*")) == []
    assert known(tmp_path / "out") == before


def test_no_shard_at_all(merge, refused, heatmap, pics, run):
    heatmap("pics")
    refused(merge(), "no shards in")
    refused(run("merge"), "no RUN")


def test_a_shard_of_other_settings(shard, merge, refused):
    shard(1, "--method", "gradcam", count=2)
    shard(2, "--method", "layercam", count=2)
    refused(merge(), "shard 2 of 2 is of another job than shard 1 of 2", "methods is ['layercam'], not ['gradcam']")


def test_a_shard_of_other_images(shard, merge, refused, pics, write_image):
    shard(1, count=2)
    write_image(pics / "new.png")
    shard(2, count=2)
    refused(merge(), "shard 2 of 2 and shard 1 of 2 were given other images: 14 and 13")
    shard(1, count=2)
    assert merge().exit_code == 0


def test_a_database_under_another_name(shard, merge, refused, tmp_path):
    shard(1, count=2)
    shutil.copy(tmp_path / "out" / "camviz.shard-1-of-2.sqlite", tmp_path / "out" / "camviz.shard-2-of-2.sqlite")
    refused(merge(), "is in shard 2 of 2 and belongs to shard 1 of 2")


def test_two_divisions(shard, heatmap, refused, merge, tmp_path):
    shard(1, count=2)
    refused(heatmap("pics", "--shard", "1/3"), "not merged, of 2 and not of 3")
    shutil.copy(tmp_path / "out" / "camviz.shard-1-of-2.sqlite", tmp_path / "out" / "camviz.shard-1-of-3.sqlite")
    refused(merge(), "shards of 2 and of 3")


def test_others_wait_until_shards_are_merged(shard, heatmap, run, refused, tmp_path):
    shard(1, count=2)
    assert "camviz merge" in refused(heatmap("pics"), "1 shard(s) that are not merged")
    assert "camviz merge" in refused(run("report", tmp_path / "out"), "1 shard(s) that are not merged")


def test_a_database_that_was_removed_is_missed(shard, merge, pics, refused, tmp_path, write_image):
    for number in (1, 2):
        shard(number, count=2)
    merge()
    write_image(pics / "new.png")
    for number in (1, 2):
        shard(number, count=2)
    (tmp_path / "out" / "camviz.sqlite").unlink()
    refused(merge(), "1 images of 14 are in the databases")


def test_shards_beside_each_other_each_once(shard, heatmap, pics, refused, tmp_path, monkeypatch):
    monkeypatch.setattr("camviz.run.output.folder._PATIENCE", 0.0)
    with OutputFolder(tmp_path / "out", "shard-1-of-2"):
        assert shard(2, count=2).stdout
        assert refused(heatmap("pics", "-q", "--shard", "1/2"), "another camviz is writing in shard 1 of 2")
    with OutputFolder(tmp_path / "out"):
        refused(heatmap("pics", "-q", "--shard", "1/2"), "another camviz is writing in output folder")
    shard(1, count=2)
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".")]


def test_the_environment_chooses_the_shard(heatmap, pics, merge, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        assert f"shard {int(rank) + 1} of 2: RANK={rank}, WORLD_SIZE=2" in heatmap("pics").stderr
    assert merge().exit_code == 0
    monkeypatch.setenv("RANK", "0")
    assert "done before" in heatmap("pics", "--shard", "1/1").stderr  # everything, whatever the environment


def test_what_needs_all_images_is_refused_in_parts(run, refused, pics):
    asked = ["pics", "--model", "demo", "--shard", "1/2"]
    refused(run("features", *asked, "--scale", "run"), "--scale run", "--shard '1/2'")
    refused(run("features", *asked, "--reduce", "pca"), "--reduce pca")
    refused(run("evaluate", *asked), "--shard")


def test_features_in_parts(run, pics, net_file, tmp_path):
    fixed = ["features", "pics", "--model", f"{net_file}:Net", "--input-size", 32, "-o", "out"]
    told = [line for part in ("1/2", "2/2") for line in run(*fixed, "--shard", part).stdout.splitlines()]
    assert len(set(told)) == len(told) == COUNT
    assert run("merge", "out").exit_code == 0
    assert "12 done before" in run(*fixed).stderr


SLOW = """
import os, time
from net import Net


class Slow(Net):
    def forward(self, x):
        if x.device.type != "meta":
            time.sleep(float(os.environ.get("SECONDS", "0")))
        return super().forward(x)
"""


def test_a_shard_killed_and_run_again(shard, heatmap, merge, run, pics, refused, tmp_path):
    """Three of four are done; the fourth is killed under way, refused, run again, merged: as a single run."""
    (tmp_path / "slow.py").write_text(SLOW)
    asked = ["heatmap", "pics", "--model", "slow.py:Slow", "--input-size", "32", "--batch-size", "1", "-o", "out"]
    for number in (1, 2, 3):
        run(*asked, "--shard", f"{number}/4")
    last = [sys.executable, "-m", "camviz", *asked, "--shard", "4/4"]
    slowly = {**os.environ, "SECONDS": "1"}
    process = subprocess.Popen(last, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=slowly)
    assert process.stdout.readline()
    process.kill()
    process.communicate()
    time.sleep(0.1)
    refused(merge(), "shard 4 of 4 is not complete: it was stopped", "--shard 4/4")
    assert run(*asked, "--shard", "4/4").exit_code in (0, 1)
    assert merge().exit_code == 0
    shutil.move(tmp_path / "out", tmp_path / "shards")
    run(*asked)
    assert results(tmp_path / "out") == results(tmp_path / "shards")
    assert known(tmp_path / "out") == known(tmp_path / "shards")
    assert not [name for name in os.listdir(tmp_path / "shards") if name.startswith(".")]
