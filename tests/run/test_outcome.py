"""The count of what happened, its words, and the exit status."""

from __future__ import annotations

import pytest

from camviz.run.outcome import Outcome


@pytest.mark.parametrize(
    ("outcome", "status", "summary"),
    [
        (Outcome(), 0, "nothing to do"),
        (Outcome(1, 1), 0, "1 image, 1 file"),
        (Outcome(3, 6), 0, "3 images, 6 files"),
        (Outcome(2, 2, failed=1), 1, "2 images, 2 files, 1 failed"),
        (Outcome(before=7), 0, "nothing left to do, 7 done before"),
        (Outcome(1, 1, 0, 5, 2), 1, "1 image, 1 file, 5 done before, 2 failed before"),
    ],
)
def test_counts_summary_and_exit_status(outcome, status, summary):
    assert outcome.exit_status == status
    assert outcome.summary() == summary
