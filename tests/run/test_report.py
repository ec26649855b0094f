from __future__ import annotations

import pytest

from camviz.errors import InputError
from camviz.run.report import Report


@pytest.mark.parametrize(
    ("done", "written", "failed", "status", "summary"),
    [
        (0, 0, 0, 0, "0 files"),
        (1, 1, 0, 0, "1 picture, 1 file"),
        (3, 6, 0, 0, "3 pictures, 6 files"),
        (2, 2, 1, 1, "2 pictures, 2 files, 1 failed"),
    ],
)
def test_counts_summary_and_exit_status(done, written, failed, status, summary):
    report = Report(done, written, [("a.jpg", InputError("bad"))] * failed)
    assert report.exit_status == status
    assert report.summary() == summary
