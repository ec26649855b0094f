"""What a run has done it does not do again, however it ended; and a run that ended early never looks done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from camviz.cli.progress import Bar
from tests.cli.contract.conftest import CASES, NAMES, errors_of

EVERY = pytest.mark.parametrize("command", CASES)


@EVERY
def test_a_second_run_computes_nothing(bench, command):
    first = bench(command)
    assert first.exit_code == 0, first.stderr
    computed, files = bench.forwards(), bench.files()
    assert computed
    assert files
    again = bench(command)
    assert again.exit_code == 0, again.stderr
    assert (bench.forwards(), bench.files()) == (computed, files)
    assert f"{len(NAMES)} done before" in again.stderr
    if command == "evaluate":
        assert again.stdout == first.stdout
    else:
        assert again.stdout == ""


@EVERY
def test_dry_run_lists_the_images_and_writes_nothing(bench, command):
    result = bench(command, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [f"pics/{name}" for name in NAMES]
    assert not (bench.folder / "out").exists()
    assert bench.forwards() == 0
    found = [json.loads(line) for line in bench(command, "--dry-run", "--json").stdout.splitlines()]
    assert [one["name"] for one in found] == NAMES


@EVERY
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_and_resumed(bench, white, refused, command, number, status):
    assert bench(command, "-o", "whole", net="Stopped").exit_code == 0
    full = bench.forwards()
    (bench.folder / "signal").write_text(str(int(number)))
    result = bench(command, "-q", net="Stopped")
    assert result.exit_code == status
    assert len(errors_of(result)) == 1
    left = bench.to_do(command, net="Stopped")
    assert left == len(NAMES) if CASES[command].whole else 0 < left < len(NAMES)
    before = bench.forwards()
    again = bench(command, net="Stopped")
    assert again.exit_code == 0, again.stderr
    assert CASES[command].whole or bench.forwards() - before < full
    whole, files = bench.folder / "whole", bench.files()
    assert files
    for name in files:
        assert (bench.folder / "out" / name).read_bytes() == (whole / name).read_bytes(), name
    assert bench.to_do(command, net="Stopped") == 0


@EVERY
def test_a_reader_that_leaves(bench, command):
    """It is gone before the first line: `… | true`."""
    fixed = ["-m", "models.py:Watched", "--input-size", "32", "-o", "out", *CASES[command].options]
    call = [sys.executable, "-m", "camviz", command, "pics", *fixed]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=bench.folder)
    process.stdout.close()
    stderr = process.stderr.read()
    assert process.wait(60) == 141, stderr
    assert "Traceback" not in stderr
    assert " in out" not in stderr, "a run that was left looks done"
    again = bench(command)
    assert again.exit_code == 0, again.stderr
    assert bench.to_do(command) == 0


@EVERY
def test_quiet_and_json_and_standard_input(bench, command):
    result = bench(command, "-", "--quiet", "--json", stdin="\n".join(f"pics/{name}" for name in NAMES[:3]))
    assert (result.exit_code, result.stderr) == (0, "")
    assert all(isinstance(json.loads(line), dict) for line in result.stdout.splitlines())
    assert len(result.stdout.splitlines()) >= 1


@EVERY
def test_what_failed_is_tried_again_when_asked(bench, white, command):
    assert bench(command, net="Moody").exit_code == 1
    white.with_name("keep").write_bytes(white.read_bytes())
    assert bench.to_do(command, net="Moody") == 0
    before = bench.forwards()
    again = bench(command, "--retry", net="Moody")
    assert again.exit_code == 1
    assert bench.forwards() > before


@EVERY
def test_a_folder_is_listed_once(bench, command, monkeypatch):
    """For the check of the images, for the run and for the count of the progress line."""
    listed: list[str] = []
    real = os.scandir
    monkeypatch.setattr("camviz.io.inputs.os.scandir", lambda path: listed.append(str(path)) or real(path))
    monkeypatch.setattr("camviz.cli.console.Console.bar", lambda _self: Bar(bar=False, lines=True, every=0))
    result = bench(command)
    assert result.exit_code == 0, result.stderr
    assert sorted(path for path in listed if path.startswith("pics")) == ["pics", "pics/1", "pics/2"]
    assert f"of {len(NAMES)} images" in result.stderr
