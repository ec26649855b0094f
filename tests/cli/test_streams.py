"""Standard streams that are closed, full or of another encoding, and names that would control a terminal."""

from __future__ import annotations

import subprocess
import sys

import pytest

from camviz.cli.console import Console
from camviz.errors import InputError


def shell(line: str, **kept: object) -> subprocess.CompletedProcess[bytes]:
    command = f"{sys.executable} -P -m camviz {line}"
    return subprocess.run(["bash", "-c", command], capture_output=True, check=False, timeout=60, **kept)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("sink", ["2>&-", "2>/dev/full", "<&- 2>&-"])
def test_errors_that_cannot_be_printed_change_nothing(sink):
    done = shell(f"methods gardcam {sink}")
    assert (done.returncode, done.stdout) == (2, b"")
    listed = shell(f"methods {sink}")
    assert (listed.returncode, b"gradcam" in listed.stdout) == (0, True)


def test_a_closed_stdout_takes_no_file_with_it(tmp_path):
    """The number of a closed descriptor goes to the next file that is opened; a result must not be written to it."""
    code = "import os; from camviz.cli.streams import prepare_streams; prepare_streams(); print(os.open('/', 0))"
    done = subprocess.run(
        ["bash", "-c", f'{sys.executable} -c "{code}; import sys; sys.exit(os.open(chr(47), 0))" >&- 2>&- <&-'],
        check=False,
        timeout=60,
    )
    assert done.returncode > 2
    assert shell("methods >&-").returncode == 0


@pytest.mark.parametrize("line", ["methods", "--help", "methods --json"])
def test_a_full_stdout_is_an_error(line):
    done = shell(f"{line} >/dev/full")
    assert done.returncode in (1, 2)
    assert b"No space left" in done.stderr
    assert b"bug" not in done.stderr


def test_an_encoding_that_lacks_characters_prints_escapes():
    done = shell(
        "methods", env={"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    )
    assert done.returncode == 0, done.stderr
    assert b"\\u" in done.stdout or b"\\x" in done.stdout


CONTROL = "p\x1b]0;title\x07\x9b31m\u202e.png"


def test_names_never_control_the_terminal(capsys, tmp_path):
    console = Console()
    console.say(CONTROL)
    console.error(InputError(f"'{CONTROL}' is damaged", f"rm {CONTROL}"))
    console.result(CONTROL)
    console.table(["name"], [[CONTROL]])
    printed = "".join(capsys.readouterr())
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(printed)
    assert printed.count("\\x1b]0;title\\x07\\x9b31m\\u202e.png") == 5


def test_a_path_is_unchanged_for_programs_and_spelled_out_on_a_terminal(capsys, monkeypatch, tmp_path):
    path = tmp_path / CONTROL
    Console().path(path)
    assert capsys.readouterr().out == f"{path}\n"
    monkeypatch.setattr(Console, "terminal", True)
    Console().path(path)
    assert "\x1b" not in capsys.readouterr().out
