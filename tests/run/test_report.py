from __future__ import annotations

import pytest

from camviz.run.report import Report


@pytest.mark.parametrize(
    ("report", "status", "summary"),
    [
        (Report(), 0, "nothing to do"),
        (Report(1, 1), 0, "1 picture, 1 file"),
        (Report(3, 6), 0, "3 pictures, 6 files"),
        (Report(2, 2, failed=1), 1, "2 pictures, 2 files, 1 failed"),
        (Report(before=7), 0, "nothing left to do, 7 done before"),
        (Report(1, 1, 0, 5, 2), 1, "1 picture, 1 file, 5 done before, 2 failed before"),
    ],
)
def test_counts_summary_and_exit_status(report, status, summary):
    assert report.exit_status == status
    assert report.summary() == summary
