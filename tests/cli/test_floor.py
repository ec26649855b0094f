"""`--floor`: maps without evidence above the noise floor are marked as weak, wherever maps are reported."""

from __future__ import annotations

import json

import pytest
import torch

from camviz.demo import sample_folder

STAR = sample_folder() / "star_and_ring.jpg"


@pytest.fixture
def flat(net, tmp_path):
    """Weights that are all the same: every class has the same score."""
    state = {name: torch.full_like(values, 0.1) for name, values in net().state_dict().items()}
    torch.save(state, tmp_path / "flat.pth")
    return ["--checkpoint", tmp_path / "flat.pth", "--target", "1"]


def test_a_weak_map_is_reported_on_stderr_in_json_and_in_its_caption(heatmap, flat, write_image, tmp_path):
    path = write_image(tmp_path / "a.png", 96, 96)
    plain = heatmap(path, *flat, "--json", "--layout", "panel")
    assert "weak:" not in plain.stdout + plain.stderr
    unmarked = (tmp_path / "out" / "a_gradcam.png").read_bytes()
    marked = heatmap(path, *flat, "--json", "--layout", "panel", "--floor")
    found = json.loads(marked.stdout)
    assert found["weak"].startswith("weak: ")
    assert found["note"].startswith(found["weak"])
    assert f"note: a_gradcam.png, gradcam: {found['note']}" in marked.stderr.splitlines()
    assert (tmp_path / "out" / "a_gradcam.png").read_bytes() != unmarked  # the figure shows it too


def test_a_map_above_the_floor_is_not_marked(run, tmp_path):
    result = run("heatmap", STAR, "-m", "demo", "--floor", "--json", "-o", tmp_path / "out")
    found = json.loads(result.stdout)
    assert "weak" not in found
    assert "note" not in found
    assert found["evidence"] > 1


def test_compare_marks_the_side_that_is_weak(run, net_file, flat, write_image, tmp_path):
    modules = ["-m", f"{net_file}:Net", "-m", f"{net_file}:Net", *flat[:2], "--name", "ours", "--name", "flat"]
    asked = ["compare", write_image(tmp_path / "a.png"), *modules, "--input-size", 32, "-t", "1", "--dpi", 50]
    marked = run(*asked, "--floor", "-o", tmp_path / "out")
    assert marked.exit_code == 0, marked.stderr
    assert "flat: weak:" in marked.stderr
    assert "weak:" not in run(*asked, "-o", tmp_path / "plain").stderr
