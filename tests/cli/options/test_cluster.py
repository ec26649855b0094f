"""Options of shards and of Ray that exclude each other."""

from __future__ import annotations

import pytest

from camviz.cli.options import ClusterOptions
from camviz.errors import RequestError
from camviz.run.distributed.shard import Shard


@pytest.fixture
def pics(tmp_path, write_image, monkeypatch):
    """A folder with one image in the current folder."""
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "pics" / "a.png")


def test_without_the_extra(heatmap, refused, write_image, tmp_path, monkeypatch):
    monkeypatch.setattr("camviz.cli.options.cluster.find_spec", lambda _name: None)
    told = refused(heatmap(write_image(tmp_path / "a.png"), "--engine", "ray"), "--engine ray needs Ray")
    assert "hint: pip install 'camviz[ray]'" in told


def test_what_does_not_go_together(run, refused, pics):
    asked = ["pics", "--model", "demo"]
    refused(run("heatmap", *asked, "--address", "h:1"), "--address h:1", "--engine ray")
    refused(run("heatmap", *asked, "--workers", "3"), "--workers 3")
    refused(run("heatmap", *asked, "--engine", "ray", "--shard", "1/2"), "--shard '1/2' with --engine ray")
    refused(run("features", *asked, "--engine", "ray", "--scale", "run"), "--engine ray: --scale run")
    refused(run("features", *asked, "--engine", "ray", "--reduce", "pca"), "--engine ray: --reduce pca")


def test_the_part_is_from_the_option_or_from_the_launcher(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    assert ClusterOptions().part() == (None, "")
    assert ClusterOptions(shard="2/3").part() == (Shard(2, 3), "")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert ClusterOptions().part() == (Shard(1, 4), "RANK=0, WORLD_SIZE=4")
    assert ClusterOptions(shard="1/1").part() == (None, "")
    assert ClusterOptions(engine="ray").part() == (None, "")
    with pytest.raises(RequestError, match=r"shard 1 of 4 \(RANK=0, WORLD_SIZE=4\): all images at once"):
        ClusterOptions().refuse_parts("all images at once")
    ClusterOptions(engine="ray").refuse_parts("all images at once", ray=False)
