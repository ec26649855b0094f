"""The lines at the end of a run: what of its figures is not as one may expect."""

from __future__ import annotations

from pathlib import Path

import pytest

from camviz.run.output.written import Written


@pytest.mark.parametrize(
    ("kind", "size", "grid", "expected"),
    [
        ("overlay", [300, 400], [7, 7], []),
        ("overlay", [300, 255], [7, 7], ["enlarged"]),
        ("heatmap", [2049, 400], [7, 7], ["reduced"]),
        ("overlay", [300, 400], [3, 7], ["coarse"]),
        ("panel", [30, 40], [1, 1], []),
        ("raw", [30, 40], [1, 1], []),
    ],
)
def test_traits_of_a_file(kind, size, grid, expected):
    assert Written(Path("a.png"), {"kind": kind, "size": size, "map": grid}).traits() == [kind, *expected]


@pytest.mark.parametrize(
    ("size", "input_size", "options", "words"),
    [
        ((300, 300), 32, [], []),
        ((40, 300), 32, [], ["below 256 pixels are drawn enlarged"]),
        ((40, 300), 32, ["--full-size"], []),
        ((2100, 300), 32, [], ["above 2048 pixels are drawn reduced"]),
        ((300, 300), 3, [], ["3 cells or fewer"]),
    ],
)
def test_a_run_reports_other_sizes_and_coarse_maps_once(
    run, net_file, write_image, tmp_path, size, input_size, options, words
):
    for name in "ab":
        write_image(tmp_path / "pics" / f"{name}.png", *size)
    net = ["--model", f"{net_file}:Net", "--input-size", input_size]
    result = run("heatmap", tmp_path / "pics", *net, "-o", tmp_path / "out", *options)
    assert result.exit_code == 0, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith(("size: ", "grid: "))]
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True))
