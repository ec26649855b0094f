"""A run on Ray is a run: the same files, bytes and database; whatever dies under way."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from camviz.errors import InputError
from camviz.io.inputs import Input
from camviz.run.distributed.ray_tasks import Answer, Place, Share, lost
from camviz.run.settings import HeatmapSettings
from camviz.types import ModelRequest, Request
from tests.helpers.runs import known, results

COUNT = 200


@pytest.fixture
def pics(tmp_path, write_image, monkeypatch) -> Path:
    """Two hundred images in the current folder, and one that is none."""
    monkeypatch.chdir(tmp_path)
    for number in range(COUNT):
        write_image(tmp_path / "pics" / ("deep" if number % 3 else ".") / f"{number:03d}.png", seed=number)
    (tmp_path / "pics" / "bad.png").write_text("words")
    return tmp_path / "pics"


@pytest.fixture
def ray():
    """Only where Ray is installed; the run itself starts and stops it."""
    pytest.importorskip("ray", reason="pip install 'camviz[ray]'")


def test_nothing_of_ray_is_imported_unless_asked_for(write_image, tmp_path):
    code = "import sys\nfrom camviz.cli.app import app\ntry:\n    app(sys.argv[1:])\nexcept SystemExit: pass\n"
    code += "import camviz.run.distributed.ray_pool\n"
    code += "print([name for name in sys.modules if name.split('.')[0] in ('ray', 'pyarrow')])"
    asked = ["heatmap", str(write_image(tmp_path / "a.png")), "-m", "demo", "-o", str(tmp_path / "out"), "-q"]
    done = subprocess.run([sys.executable, "-c", code, *asked], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_error_of_a_lost_image():
    assert isinstance(lost(Input(Path("a"), "a"), 3), InputError)


def test_files_stay_bytes_where_there_is_no_folder(net_file, write_image, tmp_path):
    job = Request(model=ModelRequest(f"{net_file}:Net", input_size=(32, 32)), methods=("gradcam",), device="cpu")
    source = Input(write_image(tmp_path / "a.png"), "deep/a.png")
    sent = Share(HeatmapSettings(job)).begin()([source])
    kept = Share(HeatmapSettings(job), Place(tmp_path / "out")).begin()([source])
    assert isinstance(sent, Answer)
    [file] = sent.records[0].written
    assert file.path == Path("deep/a_gradcam.png")
    assert file.data == (tmp_path / "out" / file.path).read_bytes()
    assert kept.records[0].written[0].data is None


# for real


@pytest.fixture
def start(net_file, tmp_path, ray):
    """`start("--workers", "2", out="out")`: the command on Ray, in a process of its own."""

    def begin(*options: str, out: str = "out", net: str = "Net", command: str = "heatmap") -> subprocess.Popen[str]:
        asked = [command, "pics", "--model", f"{net}", "--input-size", "32", "-o", out, "--engine", "ray", *options]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, "-m", "camviz", *asked], cwd=tmp_path, stdout=pipe, stderr=pipe, text=True
        )

    return begin


SLOW = """
import os, time
from net import Net


class Slow(Net):
    def forward(self, x):
        if x.device.type != "meta":
            time.sleep(float(os.environ.get("SECONDS", "0.05")))
        return super().forward(x)
"""


def descendants(parent: int, name: bytes = b"ray::Worker") -> list[int]:
    """The processes with a name in their command line that descend from a process: those of the pool, or a raylet."""
    found, above = [], {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text()
                above[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
                if name in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue

    def descends(pid: int) -> bool:
        while pid in above:
            pid = above[pid]
            if pid == parent:
                return True
        return False

    return [pid for pid in found if descends(pid)]


@pytest.mark.slow
def test_two_workers_are_a_single_run(start, heatmap, pics, tmp_path):
    process = start("--workers", "2", "--save-raw", net="net.py:Net")
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 1, stderr
    assert len(set(stdout.splitlines())) == len(stdout.splitlines()) == 2 * COUNT
    assert "200 images, 400 files, 1 failed" in stderr
    assert "bad.png' is not an image" in stderr
    assert re.search(r"ray: 2 processes, \d+ cores? each", stderr)
    assert not [line for line in stderr.splitlines() if "INFO" in line or "WARNING" in line or "Warning" in line]
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".")]
    shutil.move(tmp_path / "out", tmp_path / "spread")
    heatmap_here = [sys.executable, "-m", "camviz", "heatmap", "pics", "--model", "net.py:Net", "--input-size", "32"]
    subprocess.run(
        [*heatmap_here, "-o", "out", "--save-raw", "-q"], cwd=tmp_path, check=False, stdout=subprocess.DEVNULL
    )
    assert results(tmp_path / "out") == results(tmp_path / "spread")
    assert known(tmp_path / "out") == known(tmp_path / "spread")


@pytest.mark.slow
def test_a_worker_killed_under_way(start, pics, tmp_path, run):
    (tmp_path / "slow.py").write_text(SLOW)
    process = start("--workers", "2", "--batch-size", "1", net="slow.py:Slow")
    killed: list[int] = []
    assert process.stdout.readline()
    for _ in range(2):
        [first, *_] = descendants(process.pid)
        os.kill(first, signal.SIGKILL)
        killed.append(first)
        time.sleep(1.0)
    stdout, stderr = process.communicate(timeout=400)
    assert process.returncode == 1, stderr
    assert len(set(stdout.splitlines())) == len(stdout.splitlines())  # of those behind what readline has read ahead
    assert "200 images, 200 files, 1 failed" in stderr
    shutil.move(tmp_path / "out", tmp_path / "spread")
    run("heatmap", "pics", "--model", "slow.py:Slow", "--input-size", "32", "--batch-size", "1", "-o", "out")
    assert results(tmp_path / "out") == results(tmp_path / "spread")
    assert known(tmp_path / "out").keys() == known(tmp_path / "spread").keys()
    assert not [name for name in os.listdir(tmp_path / "spread") if name.startswith(".")]


@pytest.mark.slow
def test_the_driver_killed_and_the_same_command_again(start, pics, tmp_path, run):
    """Begun without Ray, killed on Ray, gone on with Ray, all done: one job, nothing twice."""
    (tmp_path / "slow.py").write_text(SLOW)
    fixed = ["heatmap", "pics", "--model", "slow.py:Slow", "--input-size", "32", "-o", "out"]
    begun = subprocess.Popen(
        [sys.executable, "-m", "camviz", *fixed], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    for _ in range(5):
        begun.stdout.readline()
    begun.kill()
    begun.communicate()
    process = start("--workers", "2", net="slow.py:Slow")
    assert process.stdout.readline()
    time.sleep(1.5)  # a commit
    pool = descendants(process.pid)
    process.kill()
    process.communicate()
    again = start("--workers", "2", net="slow.py:Slow")
    _, stderr = again.communicate(timeout=300)
    assert again.returncode == 1, stderr
    before = int(re.search(r"(\d+) done before", stderr)[1])
    done = int(re.search(r"^(\d+) images, \d+ files", stderr, re.MULTILINE)[1])
    assert before > 5
    assert before + done == COUNT
    assert not [pid for pid in pool if os.path.exists(f"/proc/{pid}")]
    assert "200 done before" in run(*fixed).stderr
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".")]


@pytest.mark.slow
@pytest.mark.parametrize("end", ["raylet", "SIGINT", "SIGTERM"])
def test_what_ends_a_run_under_way(start, pics, tmp_path, monkeypatch, end):
    """Two lines, the images that are done stay done, and the same command again does the others."""
    (tmp_path / "slow.py").write_text(SLOW)
    monkeypatch.setenv("SECONDS", "0.3")
    process = start("--workers", "2", "--batch-size", "1", net="slow.py:Slow")
    assert process.stdout.readline()
    pool = descendants(process.pid)
    if end == "raylet":
        [target], signaled = descendants(process.pid, b"raylet/raylet"), signal.SIGKILL
    else:
        target, signaled = process.pid, getattr(signal, end)
    os.kill(target, signaled)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == {"raylet": 1, "SIGINT": 130, "SIGTERM": 143}[end]
    assert [line.partition(":")[0] for line in stderr.splitlines()[-2:]] == ["error", "hint"], stderr
    assert "Traceback" not in stderr
    assert "***" not in stderr
    until = time.monotonic() + 30  # a worker ends with its unit
    while left := [pid for pid in pool if os.path.exists(f"/proc/{pid}")]:
        assert time.monotonic() < until, left
        time.sleep(0.2)
    monkeypatch.setenv("SECONDS", "0.01")
    again = start("--workers", "2", "--batch-size", "1", net="slow.py:Slow")
    _, stderr = again.communicate(timeout=300)
    before = int(re.search(r"(\d+) done before", stderr)[1])
    assert before > len(stdout.splitlines())
    assert before + int(re.search(r"^(\d+) images, \d+ files", stderr, re.MULTILINE)[1]) == COUNT
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".")]


@pytest.mark.slow
def test_features_and_evaluate(start, run, pics, tmp_path, ray):
    for number in range(12, COUNT):
        next(pics.rglob(f"{number:03d}.png")).unlink()
    spread = start("--workers", "2", command="features", net="net.py:Net")
    _, stderr = spread.communicate(timeout=300)
    assert spread.returncode == 1, stderr
    run("features", "pics", "--model", "net.py:Net", "--input-size", "32", "-o", "here")
    assert results(tmp_path / "out") == results(tmp_path / "here")
    assert known(tmp_path / "out") == known(tmp_path / "here")
    asked = ["evaluate", "pics", "-m", "net.py:Net", "--input-size", "32", "--metric", "deletion,sparsity", "--json"]
    fresh = [sys.executable, "-m", "camviz", *asked, "--engine", "ray", "--workers", "2"]
    told = subprocess.run(fresh, capture_output=True, text=True, check=False, timeout=300)
    assert told.returncode == 1, told.stderr
    assert told.stdout == run(*asked).stdout


@pytest.mark.slow
def test_a_cluster_that_is_joined(start, pics, tmp_path, ray):
    """Its machines may have other disks: files travel back as bytes. It goes on when the run has ended."""
    for number in range(12, COUNT):
        next(pics.rglob(f"{number:03d}.png")).unlink()
    program, port = Path(sys.executable).with_name("ray"), "6399"
    asked = [
        "start",
        "--head",
        "--block",
        f"--port={port}",
        "--num-cpus=2",
        "--include-dashboard=false",
    ]
    head = subprocess.Popen(
        [program, *asked, "--disable-usage-stats"], start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    while "runtime started" not in head.stdout.readline():
        assert head.poll() is None
    try:
        for _ in range(2):
            process = start("--address", "auto", "--overwrite", net="net.py:Net")
            stdout, stderr = process.communicate(timeout=200)
            assert process.returncode == 1, stderr
            assert len(stdout.splitlines()) == 12
    finally:
        head.terminate()
        head.communicate(timeout=60)
    assert len(results(tmp_path / "out")) == 12


def test_a_cluster_that_is_not_there(heatmap, refused, write_image, tmp_path, ray):
    result = heatmap(write_image(tmp_path / "a.png"), "--engine", "ray", "--address", "127.0.0.1:9", "-q")
    refused(result, "no Ray cluster answers at '127.0.0.1:9'")
