"""Names in any spelling: methods, models, layouts, colormaps, presets, classes and choices."""

from __future__ import annotations

import json

import pytest

from camviz.cli.names import COLORMAP, LAYOUT, METHOD, METRIC, MODEL, TASK
from camviz.errors import UnknownName
from camviz.methods import METHODS
from camviz.models.load import plan
from camviz.types import ModelRequest


@pytest.mark.parametrize(
    ("names", "typed", "expected"),
    [
        (METHOD, "GradCAM", "gradcam"),
        (METHOD, "grad-cam", "gradcam"),
        (METHOD, "Grad_CAM,Layer-CAM", "gradcam,layercam"),
        (METHOD, "ig", "integrated-gradients"),
        (METHOD, "gradcampp", "gradcam++"),
        (METHOD, "grad_cam_plusplus", "gradcam++"),
        (METHOD, "gbp", "guided-backprop"),
        (METHOD, "Masking", "masking"),
        (METHOD, "nothing-like-it", "nothing-like-it"),
        (METRIC, "Insertion", "insertion"),
        (METRIC, "localisation", "localization"),
        (MODEL, "ResNet50", "resnet50"),
        (MODEL, "mobilenet-v2", "mobilenet_v2"),
        (MODEL, "Demo", "demo"),
        (MODEL, "Net.py:Net", "Net.py:Net"),
        (LAYOUT, "Panel", "panel"),
        (COLORMAP, "Jet", "jet"),
        (COLORMAP, "grey", "gray"),
        (COLORMAP, "Twilight-Shifted", "twilight_shifted"),
        (TASK, "Multi-Label", "multilabel"),
    ],
)
def test_a_name_is_found_in_any_spelling(names, typed, expected):
    assert names.canonical(typed) == expected


def test_a_file_of_that_name_is_no_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ResNet50").touch()
    assert MODEL.canonical("ResNet50") == "ResNet50"


def test_no_alias_is_ambiguous():
    for alias, name in METHODS.aliases().items():
        assert METHODS.find(alias).name == name


def test_a_run_is_the_same_in_any_spelling(heatmap, write_image, tmp_path):
    """The names that a run remembers are the registered ones, so that another spelling resumes it."""
    image = write_image(tmp_path / "a.png")
    first = heatmap(image, "--method", "grad-cam", "--colormap", "Jet", "--layout", "Overlay", "--fit", "Squash")
    assert first.exit_code == 0, first.stderr
    again = heatmap(image, "--method", "GradCAM", "--colormap", "jet", "--fit", "squash")
    assert again.stdout == ""
    assert "--overwrite" in again.stderr


def test_settings_and_presets_in_any_spelling(run, write_image, tmp_path):
    image = write_image(tmp_path / "a.png")
    words = ["--method", "ig", "--set", "Integrated_Gradients.Steps=3", "--config", "Quick", "-o", tmp_path / "out"]
    result = run("heatmap", image, "-m", "DEMO", *words, "--json")
    assert result.exit_code == 0, result.stderr
    [facts] = map(json.loads, result.stdout.splitlines())
    assert facts["method"] == "integrated-gradients"
    assert facts["path"].endswith(".jpg")


@pytest.mark.parametrize("typed", ["Tiger_Cat", "tiger-cat", "TIGERCAT", "tiger cat"])
def test_classes_in_any_spelling(heatmap, write_image, tmp_path, typed):
    (tmp_path / "names.txt").write_text("tabby cat\ntiger cat\nowl\neel\n")
    result = heatmap(write_image(tmp_path / "a.png"), "--labels", tmp_path / "names.txt", "-t", typed, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["target"] == "tiger cat"


def test_the_library_takes_any_spelling_of_a_model():
    assert plan(ModelRequest("ResNet-18", weights="none")).name == "resnet18"
    with pytest.raises(UnknownName, match="'resnet_nothing'"):
        plan(ModelRequest("resnet_nothing"))


def test_metrics_in_any_spelling(run, write_image, tmp_path):
    image = write_image(tmp_path / "a.png")
    result = run("evaluate", image, "-m", "demo", "--metric", "Sparsity", "--json")
    assert result.exit_code == 0, result.stderr
    assert "sparsity" in result.stdout
