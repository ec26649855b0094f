"""One image that fails never stops the others, in any command; what fails for every image is a wrong request."""

from __future__ import annotations

import errno
import os

import pytest

from camviz.cli.registry import commands
from tests.cli.contract.conftest import CASES, NAMES, WHITE, errors_of

EVERY = pytest.mark.parametrize("command", CASES)
LOOKS_ONLY = {"doctor"}  # takes images, and makes no results of them


def test_every_image_command_is_in_the_table():
    takes_images = {entry.name for entry in commands() if "images" in entry.call.__signature__.parameters}
    assert takes_images - LOOKS_ONLY == set(CASES)


def done_but_one(bench, command, net: str, named: str = WHITE) -> None:
    """The run does every image but the one of that name, and fails for that one alone."""
    result = bench(command, net=net)
    assert result.exit_code == 1, result.stderr
    [error] = [line for line in errors_of(result) if "before" not in line]
    assert named in error
    assert "1 failed" in result.stderr
    assert "bug in camviz" not in result.stderr
    if CASES[command].figures:
        assert len(result.stdout.splitlines()) == len(NAMES) - 1 + CASES[command].extra
    again = bench(command, "-q", net=net)
    assert again.exit_code == 1  # it failed before
    tried_again = net in ("Starved", "Python")  # for memory, which may suffice the next time
    together = command in ("patches", "concepts")
    assert bench.to_do(command, net) == (tried_again and (len(NAMES) if together else 1))


@EVERY
@pytest.mark.parametrize("net", ["Moody", "Starved", "Python"])
def test_the_model_fails_on_one_image(bench, white, command, net):
    done_but_one(bench, command, net)


@EVERY
def test_the_first_image_is_the_one_that_fails(bench, white, command):
    white.rename(white.with_name("0.png"))
    done_but_one(bench, command, "Moody", "0.png")


@EVERY
def test_an_unreadable_image(bench, command):
    (bench.folder / "pics" / "1" / WHITE).write_text("words")
    done_but_one(bench, command, "Watched")


@EVERY
def test_an_unknown_scheme_on_standard_input(bench, command):
    lines = ["pics/1/a.png", "foo://x", "pics/2/z.png"]
    result = bench(command, "-", stdin="\n".join(lines))
    assert result.exit_code == 1, result.stderr
    [error] = errors_of(result)
    assert "foo://" in error
    assert "2 images" in result.stderr


@EVERY
@pytest.mark.parametrize("size", ["1", "2"])
def test_a_model_that_cannot_run_is_a_wrong_request(bench, refused, command, size):
    result = bench(command, "-q", "--batch-size", size, net="Broken")
    refused(result, "shapes do not fit")
    assert bench.files() == []
    assert bench.to_do(command) == len(NAMES)


@EVERY
def test_too_little_memory_halves_the_batch(bench, command, monkeypatch):
    (bench.folder / "greedy.py").write_text(
        "from models import Watched\nimport torch\nclass Greedy(Watched):\n    def meets(self, x):\n"
        "        if len(x) > 2:\n            raise torch.OutOfMemoryError('CUDA out of memory')\n"
    )
    result = bench(command, "--batch-size", "4", "-m", "greedy.py:Greedy")
    assert (result.exit_code, errors_of(result)) == (0, []), result.stderr


@EVERY
def test_a_full_disk(bench, command, monkeypatch):
    """ENOSPC for every file that gets its name."""
    real = os.replace

    def replace(old, new):
        if ".parts" in str(old):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(old, new)

    monkeypatch.setattr(os, "replace", replace)
    result = bench(command, "-q")
    [error] = errors_of(result)
    assert result.exit_code == 2
    assert "No space left on device" in error
    assert bench.files() == []
    monkeypatch.setattr(os, "replace", real)
    again = bench(command)
    assert again.exit_code == 0, again.stderr
    assert bench.files()


@pytest.mark.parametrize("command", ["heatmap", "compare", "evaluate"])
def test_an_image_without_a_detection_is_done(bench, run, command):
    (bench.folder / "nets.py").write_text(
        "from tests.helpers.dense import make\ndef detector():\n    return make('ssd')\n"
    )
    methods = "hirescam,layercam" if command == "compare" else "hirescam"
    fixed = ["-m", "nets.py:detector", "-o", "out", "--method", methods, "--min-score", "0.999"]
    result = run(command, "pics/1/a.png", *fixed)
    assert (result.exit_code, errors_of(result)) == (0, []), result.stderr
    [note] = [line for line in result.stderr.splitlines() if "a.png" in line and line.startswith("note: ")]
    assert "--min-score 0." in note
    assert "1 image" in result.stderr
    again = run(command, "pics/1/a.png", *fixed)
    assert "1 done before" in again.stderr
