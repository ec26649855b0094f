"""`camviz report`, as it is typed."""

from __future__ import annotations


def test_report_writes_one_file(run, finished_run, tmp_path):
    result = run("report", "out")
    assert (result.exit_code, result.stdout) == (0, "out/report.html\n")
    assert "2 images, 4 maps, 1 failed" in result.stderr
    assert "bad.png" in (tmp_path / "out/report.html").read_text("utf-8")
    assert run("report", "out", "-o", "elsewhere").stdout == "elsewhere/report.html\n"
    assert '"../out/a_gradcam.png"' in (tmp_path / "elsewhere/report.html").read_text("utf-8")
