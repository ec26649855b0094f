"""The lines of progress that a run without a terminal has."""

from __future__ import annotations

import pytest

from camviz.cli.console import Bar
from camviz.run.outcome import Outcome


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
