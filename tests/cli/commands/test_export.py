"""`camviz export`, as it is typed."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("format", ["csv", "jsonl", "npz"])
def test_export_writes_one_file(run, finished_run, tmp_path, format):
    result = run("export", "out", "--format", format)
    assert (result.exit_code, result.stdout) == (0, f"out/maps.{format}\n")
    assert (tmp_path / "out" / f"maps.{format}").stat().st_size > 100
    assert run("export", "out", "--format", format, "-o", "deep/er").stdout == f"deep/er/maps.{format}\n"


def test_export_refuses_another_format(run, finished_run, refused):
    refused(run("export", "out", "--format", "xlsx"), "'xlsx'", "'csv'")
