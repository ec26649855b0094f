"""`--floor`: maps that vary no more than those of shuffled weights are marked as weak, wherever maps are told of."""

from __future__ import annotations

import json

import pytest
import torch

from camviz.demo import sample_folder

STAR = sample_folder() / "star_and_ring.jpg"


@pytest.fixture
def flat(net, tmp_path):
    """Weights that are all the same: shuffled, they are as before."""
    state = {name: torch.full_like(values, 0.1) for name, values in net().state_dict().items()}
    torch.save(state, tmp_path / "flat.pth")
    return ["--checkpoint", tmp_path / "flat.pth", "--target", "1"]


def test_a_weak_map_says_so_on_stderr_in_json_and_in_its_caption(heatmap, flat, write_image, tmp_path, run):
    path = write_image(tmp_path / "a.png", 96, 96)
    plain = heatmap(path, *flat, "--json", "--layout", "panel")
    assert "weak:" not in plain.stdout + plain.stderr
    unmarked = (tmp_path / "out" / "a.png.png").read_bytes()
    marked = heatmap(path, *flat, "--json", "--layout", "panel", "--floor")
    found = json.loads(marked.stdout)
    assert found["weak"].startswith("weak: ")
    assert found["floor"] == pytest.approx(found["max"] - found["min"], rel=1e-4)
    assert found["note"] == f"{found['weak']}; 'camviz doctor' looks for causes"
    assert f"note: a.png.png, gradcam: {found['note']}" in marked.stderr.splitlines()
    assert (tmp_path / "out" / "a.png.png").read_bytes() != unmarked  # it is drawn as well


def test_a_map_above_the_floor_is_not_marked(run, tmp_path):
    result = run("heatmap", STAR, "-m", "demo", "--floor", "--json", "-o", tmp_path / "out")
    found = json.loads(result.stdout)
    assert "weak" not in found
    assert "note" not in found
    assert 0 < found["floor"] < found["max"] - found["min"]


def test_compare_marks_the_side_that_is_weak(run, net_file, flat, write_image, tmp_path):
    modules = ["-m", f"{net_file}:Net", "-m", f"{net_file}:Net", *flat[:2], "--name", "ours", "--name", "flat"]
    asked = ["compare", write_image(tmp_path / "a.png"), *modules, "--input-size", 32, "-t", "1", "--dpi", 50]
    told = run(*asked, "--floor", "-o", tmp_path / "out")
    assert told.exit_code == 0, told.stderr
    assert "flat: weak:" in told.stderr
    assert "weak:" not in run(*asked, "-o", tmp_path / "plain").stderr
