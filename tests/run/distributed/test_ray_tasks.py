"""What another process does of a run: without Ray, in its place a pool of this process that answers as it likes."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from camviz.io.inputs import Input
from camviz.run.distributed.ray_pool import Pool
from camviz.run.distributed.ray_tasks import Answer, Place, Share
from camviz.run.settings import HeatmapSettings
from camviz.types import ModelRequest, Request
from tests.helpers.runs import known, results


class Backwards:
    """A pool of two that sends everything as bytes, as Ray does, and answers the last unit first."""

    pool = Pool(2)
    asked: tuple[object, ...] = ()
    place: Place | None = None

    def __init__(self, *asked: object) -> None:
        type(self).asked = asked

    def __enter__(self) -> Backwards:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def answers(self, work, inputs) -> Iterator[tuple[int, Answer]]:
        type(self).place = work.place
        units = [pickle.dumps([one]) for one in inputs]
        members = [pickle.loads(pickle.dumps(work)).begin() for _ in range(self.pool.size)]
        for number in reversed(range(len(units))):
            answer = members[number % 2](pickle.loads(units[number]))
            if answer.error:
                raise answer.error
            yield number, pickle.loads(pickle.dumps(answer))


@pytest.fixture
def ray(monkeypatch):
    monkeypatch.setattr("camviz.cli.options.cluster.find_spec", lambda _name: True)
    monkeypatch.setattr("camviz.run.distributed.ray_pool.Cluster", Backwards)
    return ["--engine", "ray", "--workers", "2"]


@pytest.fixture
def pics(tmp_path, write_image, monkeypatch) -> Path:
    """Four images in the current folder, and one that is none."""
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        write_image(tmp_path / "pics" / ("deep" if number % 2 else ".") / f"{number}.png", seed=number)
    (tmp_path / "pics" / "bad.png").write_text("words")
    return tmp_path / "pics"


@pytest.mark.parametrize("address", [[], ["--address", "auto"]], ids=["one disk", "other disks"])
@pytest.mark.parametrize(
    "asked", [["heatmap", "--save-raw", "-t", "top2"], ["features", "--layer", "features.2"]], ids=lambda it: it[0]
)
def test_a_spread_run_is_a_single_run(run, ray, pics, net_file, tmp_path, asked, address):
    fixed = [*asked, "pics", "--model", f"{net_file}:Net", "--input-size", 32]
    spread = run(*fixed, *ray, *address, "-o", "out")
    assert spread.exit_code == 1
    assert "ray: 2 processes, 1 core each" in spread.stderr
    assert Backwards.asked[:2] == (address[1] if address else None, 2)
    assert (Backwards.place.folder is None) == bool(address)  # their files travel as bytes
    shutil.move(tmp_path / "out", tmp_path / "spread")
    plain = run(*fixed, "-o", "out")
    assert sorted(spread.stdout.splitlines()) == sorted(plain.stdout.splitlines())
    assert results(tmp_path / "spread") == results(tmp_path / "out")
    assert known(tmp_path / "spread") == known(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    shutil.move(tmp_path / "spread", tmp_path / "out")
    again = run(*fixed, "-o", "out")
    assert again.stdout == ""
    assert "4 done before" in again.stderr


def test_rows_of_an_evaluation_come_in_the_order_of_the_images(run, ray, pics, net_file):
    metrics = ["--metric", "deletion,sparsity", "--method", "gradcam,cam"]
    fixed = [
        "evaluate",
        "pics",
        "--model",
        f"{net_file}:Net",
        "--input-size",
        32,
        "--batch-size",
        1,
        *metrics,
        "--json",
    ]
    spread, plain = run(*fixed, *ray), run(*fixed)
    assert (spread.exit_code, plain.exit_code) == (1, 1)
    assert spread.stdout == plain.stdout
    assert [json.loads(line)["method"] for line in plain.stdout.splitlines()][:2] == ["gradcam", "cam"]
    assert "bad.png' is not an image" in spread.stderr
    assert "4 images" in spread.stderr
    rows = [*fixed[:-1], "-o", "table"]
    run(*rows, *ray)
    spread_rows = (pics.parent / "table" / "results.csv").read_bytes()
    run(*rows)
    assert spread_rows == (pics.parent / "table" / "results.csv").read_bytes()


def test_a_wrong_request_that_a_process_finds_ends_the_run(run, ray, pics, net_file, refused):
    (pics / "bad.png").unlink()
    asked = ["heatmap", "pics", "--model", f"{net_file}:Net", "--input-size", 32, "-q", "--layer", "features.0"]
    refused(run(*asked, "--method", "cam", *ray), "cam")


def test_files_go_beside_the_others_and_never_appear_half(net_file, write_image, tmp_path, monkeypatch):
    """Each is written into a folder of parts and moved from there."""
    moved = []
    monkeypatch.setattr(os, "replace", lambda old, new: moved.append(Path(old).parent) or os.rename(old, new))
    job = Request(model=ModelRequest(f"{net_file}:Net", input_size=(32, 32)), methods=("gradcam",), device="cpu")
    (tmp_path / "parts").mkdir()
    place = Place(tmp_path / "out", tmp_path / "parts")
    answer = Share(HeatmapSettings(job), place).begin()([Input(write_image(tmp_path / "a.png"), "deep/a.png")])
    assert [file.path for file in answer.records[0].written] == [tmp_path / "out" / "deep/a_gradcam.png"]
    assert results(tmp_path / "out").keys() == {"deep/a_gradcam.png"}
    assert set(moved) == {tmp_path / "parts"}
    assert not list((tmp_path / "parts").iterdir())
