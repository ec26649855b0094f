"""How far a run is, as told on stderr: on a terminal, in a pipe, and not at all."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from camviz.cli.console import Console
from camviz.cli.progress import Bar, duration, shorter
from camviz.run.outcome import Outcome
from camviz.run.settings import HeatmapSettings
from camviz.types import Request


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("camviz.cli.progress.time", SimpleNamespace(monotonic=made))
    monkeypatch.setattr("camviz.cli.progress.memory", lambda: 3 * 2**20)
    return made


@pytest.fixture
def at_once(monkeypatch):
    """Threads that are done when they have been started."""

    class Thread:
        def __init__(self, target, daemon: bool) -> None:
            self.start = target

        def join(self, timeout: float) -> None:
            assert timeout < 1

    monkeypatch.setattr("camviz.cli.progress.threading", SimpleNamespace(Thread=Thread))


def test_in_a_pipe_a_line_every_ten_seconds(clock, at_once, capsys):
    bar = Console().bar()
    bar.count(lambda: 100)
    with bar:
        clock.now += 9.9
        bar.update(Outcome(done=10))
        assert capsys.readouterr().err == "note: 90 more images take about 1 min 29 s\n"
        clock.now += 0.1
        bar.update(Outcome(done=16, failed=4, before=20))
        assert capsys.readouterr() == ("", "40 of 100 images, 2/s, 30 s left, 4 failed, 3 MB\n")
        bar.update(Outcome(done=17, failed=4, before=20))
        assert capsys.readouterr().err == ""
        clock.now += 10
        bar.scored(50, 200)
        assert capsys.readouterr().err == "41 of 100 images, 50 of 200 forwards, 1.05/s, 56 s left, 4 failed, 3 MB\n"
        clock.now += 10
        bar.frame(200, 200)
        assert "frames" not in capsys.readouterr().err


def test_what_came_before_the_work_is_no_part_of_the_rate(clock):
    bar = Bar(False)
    with bar:
        clock.now += 60
        bar.began(2)
        bar.update(Outcome(done=10))
        assert bar.details() == "5/s, 3 MB"


def test_of_paths_on_standard_input_the_number_is_not_known(clock, at_once, capsys):
    bar = Bar(False, lines=True)
    bar.count(lambda: None)
    with bar:
        clock.now += 10
        bar.update(Outcome(done=1))
    assert capsys.readouterr().err == "1 image, 0.1/s, 3 MB\n"


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min 01 s"), (3600, "1 h 00 min"), (7265, "2 h 01 min")]
)
def test_durations(seconds, told):
    assert duration(seconds) == told


def test_memory_grows_with_what_is_held():
    code = """if True:
        import numpy as np
        from camviz.cli.progress import memory
        before = memory()
        held = np.ones(64 * 2**20, np.uint8)
        print(before, memory() - before)
    """  # in a process of its own: an allocator may serve 64 MB from what other tests have freed
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, grown = map(int, done.stdout.split())
    assert before > 2**20
    assert grown > 0.9 * 64 * 2**20


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_that_is_gone_in_the_end(monkeypatch, clock, at_once):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    bar = Console().bar()
    bar.count(lambda: 4)
    with bar:
        clock.now += 1
        bar.update(Outcome(done=1, failed=1))
        bar.scored(3, 9)
        [images, forwards] = bar._progress.tasks
        assert (images.completed, images.total, images.fields["details"]) == (2, 4, "2/s, 1 s left, 1 failed, 3 MB")
        assert (forwards.completed, forwards.total, forwards.visible) == (3, 9, True)
        bar.scored(9, 9)
        assert not forwards.visible
    assert "images" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[1A\x1b[2K")  # up a line, and that line cleared


def test_quiet_says_nothing_of_it(monkeypatch, clock, capsys):
    for screen in (sys.stderr, Terminal()):
        monkeypatch.setattr(sys, "stderr", screen)
        with Console(quiet=True).bar() as bar:
            clock.now += 60
            bar.update(Outcome(done=1))
    assert screen.getvalue() == ""
    monkeypatch.undo()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("total", "done", "said"),
    [(5, 1, "1 of 5 images, "), (1, 0, "0 of 1 image, "), (None, 1, "1 image, "), (None, 2, "2 images, ")],
)
def test_a_line_says_how_many_of_how_many(capsys, total, done, said):
    with Bar(bar=False, lines=True, every=0) as bar:
        bar.count(lambda: total)
        bar.update(Outcome(done=done))
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(said)
    assert line.endswith(" MB")


def screen_lines(text: str) -> list[str]:
    """The lines that a terminal shows after this output: carriage returns, cleared lines, and steps upwards."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[\??\d*(?:;\d+)*[A-Za-z]|[^\x1b]", text):
        if token == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif token == "\r":
            column = 0
        elif token == "\x1b[2K":
            lines[row] = ""
        elif up := re.fullmatch(r"\x1b\[(\d+)A", token):
            row -= int(up[1])
        elif len(token) == 1:
            lines[row] = lines[row][:column].ljust(column) + token + lines[row][column + 1 :]
            column += 1
    return lines


def test_paths_and_notes_stand_above_the_bar(monkeypatch, clock, at_once):
    screen = Terminal()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, screen)
    monkeypatch.setenv("TERM", "xterm")
    console = Console()
    bar = console.bar()
    bar.count(lambda: 2)
    names = ["out/[red]a_gradcam.png", f"out/{'long/' * 30}b_gradcam.png"]
    with bar:
        for done, name in enumerate(names, 1):
            bar.update(Outcome(done=done))
            console.path(Path(name))
        console.say("note: a few words")
        bar._progress.refresh()
        assert "images" in screen_lines(screen.getvalue())[3]
    assert screen_lines(screen.getvalue())[:4] == [*names, "note: a few words", ""]


@pytest.mark.parametrize("quiet", [False, True])
def test_a_long_map_is_announced_once_and_how_to_shorten_it(clock, capsys, quiet):
    bar = Console(quiet).bar()
    bar.shorter = "--set samples=1000 takes less"
    with bar:
        bar.scored(32, 4000)
        clock.now += 4
        bar.scored(96, 4000)  # 16 a second
        clock.now += 4
        bar.scored(160, 4000)
    note = "note: the other 3904 forwards take about 4 min 04 s; --set samples=1000 takes less\n"
    assert capsys.readouterr().err.count(note) == (not quiet)


def test_many_images_are_announced_after_the_first(clock, at_once, capsys):
    bar = Console().bar()
    bar.count(lambda: 7)
    with bar:
        clock.now += 5
        bar.update(Outcome(done=1))
        assert capsys.readouterr().err == ""  # 30 s
        clock.now += 45
        bar.update(Outcome(done=2))
    assert "note: 5 more images take about 2 min 05 s\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("methods", "settings", "expected"),
    [
        (("gradcam",), (), []),
        (("gradcam", "layercam"), (), ["fewer --method"]),
        (("scorecam",), (), ["--method layercam"]),
        (("rise",), (), ["--set samples=", "--method layercam"]),
        (("rise",), (("samples", "400"),), ["--set samples=100", "--method layercam"]),
    ],
)
def test_how_a_job_is_shortened(methods, settings, expected):
    told = shorter(HeatmapSettings(Request(methods=methods, settings=settings)))
    assert [word for word in expected if word not in told] == []
    assert bool(told) == bool(expected)
