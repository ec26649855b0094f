"""`camviz merge`, as it is typed."""

from __future__ import annotations

import pytest


@pytest.fixture
def shards(heatmap, write_image, tmp_path):
    """A run of three images in two parts."""
    for seed, name in enumerate("abc"):
        write_image(tmp_path / "pics" / f"{name}.png", seed=seed)
    for part in ("1/2", "2/2"):
        assert heatmap(tmp_path / "pics", "--shard", part).exit_code == 0
    return tmp_path / "out"


def test_merge_prints_the_joined_database(run, shards):
    result = run("merge", shards)
    assert (result.exit_code, result.stdout) == (0, f"{shards}/camviz.sqlite\n")
    assert f"2 shards, 3 images in {shards}" in result.stderr
    assert sorted(path.name for path in shards.glob("camviz*")) == ["camviz.sqlite"]


def test_merge_without_shards(run, refused, tmp_path):
    refused(run("merge"), "no RUN", "camviz merge camviz_out")
    refused(run("merge", tmp_path), "no shards in")
