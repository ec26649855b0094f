"""The memory for images in progress: of the machine, a container, a limit, or as set."""

from __future__ import annotations

import subprocess
import sys

import pytest

from camviz.run import memory
from camviz.run.memory import Budget, budget, free_memory


def test_half_of_what_is_free_unless_it_is_set(monkeypatch):
    monkeypatch.delenv("CAMVIZ_MEMORY", raising=False)
    monkeypatch.setattr(memory, "free_memory", lambda: 10_000)
    assert budget() == 5000
    for text, most in (("2e9", 2 * 10**9), ("300", 300), ("plenty", 5000), ("inf", 5000), ("nan", 5000), ("-1", 1)):
        monkeypatch.setenv("CAMVIZ_MEMORY", text)
        assert budget() == most


def test_a_container_has_less_than_its_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("4096\n")
    assert free_memory() > 1_000_000
    (tmp_path / "memory.max").write_text("1000000\n")
    assert free_memory() == 1_000_000 - 4096


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of this kind")
def test_a_limit_of_the_process_counts():
    code = "from camviz.run.memory import free_memory; print(free_memory())"
    line = f"ulimit -v 900000; exec '{sys.executable}' -c '{code}'"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True, timeout=60)
    assert 0 < int(done.stdout) < 900_000 * 1024


def test_an_image_of_any_size_is_in_progress_alone():
    shared = Budget(100)
    assert shared.take(1000)
    assert shared.full
    assert not shared.take(1)
    shared.give(1000)
    assert shared.take(60)
    assert not shared.take(41)
    assert shared.take(40)


def test_files_that_a_container_keeps_in_memory_are_free(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("900000\n")
    (tmp_path / "memory.stat").write_text("anon 100000\ninactive_file 700000\n")
    assert free_memory() == 800_000
