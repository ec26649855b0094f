"""What can go wrong under way, each really done to a process of its own."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from camviz.run.database.database import Database
from camviz.run.distributed.ray_tasks import Place, Share
from camviz.run.settings import HeatmapSettings

SLOW = '''
import time
from net import Net


class Slow(Net):
    def forward(self, x):
        if x.device.type != "meta":
            time.sleep(0.1)
        return super().forward(x)


class Greedy(Net):
    """Has no memory for more than two images."""

    def forward(self, x):
        if len(x) > 2 and x.device.type != "meta":
            raise RuntimeError("not enough memory: you tried to allocate")
        return super().forward(x)


class Moody(Net):
    """Fails on one kind of image."""

    def forward(self, x):
        if x.device.type != "meta" and (x > 2).flatten(1).all(1).any():
            raise ValueError("too bright")
        return super().forward(x)
'''
FAULT = """
import os, sys
import camviz.run.output.files as files
real = os.replace
def replace(old, new):
    replace.count = getattr(replace, "count", 0) + 1
    {fault}
    return real(old, new)
os.replace = replace
from camviz.cli.app import main
main()
"""


@pytest.fixture
def pics(tmp_path, net_file, write_image) -> Path:
    """Eight images and slow models."""
    (tmp_path / "slow.py").write_text(SLOW)
    for number in range(8):
        write_image(tmp_path / "pics" / ("deep" if number % 2 else ".") / f"{number}.png", seed=number)
    return tmp_path / "pics"


@pytest.fixture
def start(tmp_path):
    """`start("--layer", "x", net="Slow")`: the command, running."""

    def begin(*options: str, net: str = "Slow", code: str = "", out: str = "out", **settings) -> subprocess.Popen[str]:
        command = [sys.executable, *(["-c", code] if code else ["-m", "camviz"])]
        command += ["heatmap", "pics", "--model", f"slow.py:{net}", "--input-size", "32", "-o", out, "--save-raw"]
        pipe = subprocess.PIPE
        return subprocess.Popen([*command, *options], cwd=tmp_path, stdout=pipe, stderr=pipe, text=True, **settings)

    return begin


@pytest.fixture
def finish(start):
    """`finish(…)`: the command, done: (status, paths, stderr)."""

    def run(*options: str, **settings) -> tuple[int, list[str], str]:
        process = start(*options, **settings)
        stdout, stderr = process.communicate(timeout=120)
        return process.returncode, stdout.splitlines(), stderr

    return run


def contents(folder: Path) -> dict[str, bytes]:
    """All files but the database, hidden ones too."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("camviz.sqlite")}


def hidden(folder: Path) -> list[Path]:
    return list(folder.rglob(".*"))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_end_it_ends_clean_and_goes_on_later(pics, start, finish, tmp_path, how):
    process = start("-q", "--batch-size", "1")
    first = process.stdout.readline().strip()
    process.send_signal(how)
    _, stderr = process.communicate(timeout=60)
    word = "interrupted" if how == signal.SIGINT else "terminated"
    assert process.returncode == 128 + how
    assert stderr.splitlines() == [f"error: {word}", "hint: run it again to resume"]
    assert (tmp_path / first).exists()
    assert hidden(tmp_path / "out") == []
    with Database(tmp_path / "out") as database:
        done = database.counts(1)["done"]
    assert 1 <= done < 8
    status, paths, _ = finish()
    assert (status, len(paths)) == (0, 2 * (8 - done))


def kill_and_restart(start, finish, tmp_path, times: int) -> None:
    assert finish(out="whole")[0] == 0
    rng = random.Random(5)
    for _ in range(times):
        process = start(stdin=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.1, 5.0))
        process.kill()
        process.communicate()
    status, _, stderr = finish()
    assert status == 0, stderr
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert hidden(tmp_path / "out") == []
    assert sorted(path.name for path in (tmp_path / "out").glob("camviz*")) == ["camviz.sqlite"]


def test_killed_while_it_works(pics, start, finish, tmp_path):
    """Surely under way: killed after the first path was told."""
    assert finish(out="whole")[0] == 0
    for _ in range(2):
        process = start()
        process.stdout.readline()
        process.kill()
        process.communicate()
    assert finish()[0] == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert hidden(tmp_path / "out") == []


@pytest.mark.slow
def test_killed_ten_times_at_any_moment(pics, start, finish, tmp_path):
    kill_and_restart(start, finish, tmp_path, 10)


def test_parts_of_a_killed_run_are_removed_by_the_next(pics, finish, tmp_path):
    code = FAULT.format(fault="if replace.count == 5: os.kill(os.getpid(), 9)")
    assert finish(code=code)[0] == -9
    assert [path.suffix for path in hidden(tmp_path / "out")] == [".parts"]
    assert finish()[0] == 0
    assert hidden(tmp_path / "out") == []


def test_a_full_disk(pics, finish, tmp_path):
    """ENOSPC from the fifth file on, in the process that writes."""
    code = FAULT.format(fault="if replace.count >= 5: raise OSError(28, os.strerror(28))")
    status, paths, stderr = finish("-q", code=code)
    assert status == 2
    assert [line.partition(":")[0] for line in stderr.splitlines()] == ["error", "hint"]
    assert "No space left on device" in stderr
    assert len(paths) <= 4
    assert hidden(tmp_path / "out") == []
    status, again, _ = finish()
    assert status == 0
    assert len(again) >= 12


def test_a_limit_on_the_size_of_files(pics, finish, tmp_path):
    """The kernel itself refuses: not even the database can be made."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    status, paths, stderr = finish("-q", preexec_fn=limit)
    assert (status, paths) == (2, [])
    assert [line.partition(":")[0] for line in stderr.splitlines()] == ["error", "hint"]
    assert finish()[0] == 0


def test_an_image_that_disappears(pics, start, write_image, tmp_path):
    for number in range(8, 48):
        write_image(pics / "deep" / f"{number}.png")
    process = start()
    process.stdout.readline()
    (pics / "deep" / "9.png").unlink()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no file 'pics/deep/9.png'" in stderr
    assert len(contents(tmp_path / "out")) == 2 * 47


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder(pics, finish):
    (pics / "deep").chmod(0)
    try:
        status, paths, stderr = finish()
    finally:
        (pics / "deep").chmod(0o700)
    assert (status, len(paths)) == (1, 8)
    assert "deep" in stderr


def test_the_output_folder_removed_under_way(pics, start, tmp_path):
    process = start("-q")
    process.stdout.readline()
    shutil.rmtree(tmp_path / "out")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "output folder 'out' was removed under way" in stderr
    assert [line.partition(":")[0] for line in stderr.splitlines()] == ["error", "hint"]
    assert contents(tmp_path / "out") == {}


def test_two_runs_in_one_folder(pics, start, finish, tmp_path):
    process = start("--method", "gradcam", "--batch-size", "1")
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    try:
        status, paths, stderr = finish("-q")
        assert (status, paths) == (2, [])
        assert "another camviz is writing in output folder 'out'" in stderr
    finally:
        process.send_signal(signal.SIGCONT)
    assert process.communicate(timeout=60) is not None
    assert process.returncode == 0
    assert len(contents(tmp_path / "out")) == 16


def test_an_image_that_the_model_cannot_bear_fails_alone(pics, finish, tmp_path):
    from PIL import Image

    Image.new("RGB", (40, 32), "white").save(pics / "3.png")
    status, paths, stderr = finish("--batch-size", "4", net="Moody")
    assert (status, len(paths)) == (1, 16)
    assert stderr.count("error: ") == 1
    assert "pics/3.png" in stderr
    assert "too bright" in stderr


def test_too_little_memory_halves_the_batch_and_goes_on(pics, finish, tmp_path):
    status, paths, stderr = finish("--batch-size", "8", net="Greedy")
    assert (status, len(paths)) == (0, 16)
    assert stderr.count("not enough memory") == 2  # eight, four
    with Database(tmp_path / "out") as database:
        assert database.jobs()[0].batch_size == 2
    status, paths, stderr = finish("--batch-size", "8", "--overwrite", net="Greedy")
    assert (status, len(paths)) == (0, 16)
    assert "not enough memory" not in stderr


def answered(work, inputs):
    return work.begin()(inputs).records


def test_a_unit_of_work_in_another_process(pics, tmp_path, monkeypatch):
    """Plain values in, plain values out: what any engine of many machines needs."""
    import pickle
    from multiprocessing import get_context

    from camviz.io.inputs import list_inputs
    from camviz.types import ModelRequest, Request

    monkeypatch.chdir(tmp_path)
    job = Request(ModelRequest("net.py:Net", input_size=(32, 32)))
    inputs = tuple(list_inputs(["pics"]))
    here, there = (Share(HeatmapSettings(job), Place(tmp_path / "a")), Share(HeatmapSettings(job)))
    (tmp_path / "a").mkdir()
    with get_context("spawn").Pool(1) as pool:
        records = pool.apply(answered, (pickle.loads(pickle.dumps(there)), inputs))
    written = answered(here, inputs)
    assert [record.source.name for record in records] == [record.source.name for record in written]
    for one, other in zip(records, written, strict=True):
        assert one.written[0].data == other.written[0].path.read_bytes()
        assert one.maps[0].values.tobytes() == other.maps[0].values.tobytes()
    with Database(tmp_path / "a", write=True) as database:
        row = database.begin("heatmap", {}, {})
        for record in records:
            database.add(row.id, record)
        assert database.counts(row.id)["done"] == 8
