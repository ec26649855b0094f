"""Names in any spelling, and names of results, which follow from the arguments alone and never collide."""

from __future__ import annotations

import json

import pytest

from camviz.cli.names import COLORMAP, LAYOUT, METHOD, METRIC, MODEL, TASK
from camviz.errors import UnknownName
from camviz.methods import METHODS
from camviz.models.load import plan
from camviz.types import ModelRequest


@pytest.fixture
def pics(tmp_path, write_image, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(["a.jpg", "a.png", "x/a.jpg", "y/a.jpg", "我的 图片/猫.png"]):
        write_image(tmp_path / "pics" / name, seed=seed)
    (tmp_path / "names.txt").write_text("tabby_cat\ntiger cat\nowl, large\nowl\n")


FOLDER = [
    "a.jpg_gradcam.png",
    "a.png_gradcam.png",
    "x/a_gradcam.png",
    "y/a_gradcam.png",
    "我的 图片/猫_gradcam.png",
]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["pics/a.jpg"], ["a_gradcam.png"]),
        (["pics/x/a.jpg"], ["a_gradcam.png"]),
        (["pics/a.jpg", "pics/a.png"], ["a.jpg_gradcam.png", "a.png_gradcam.png"]),
        (["pics/x/a.jpg", "pics/y/a.jpg"], ["x/a_gradcam.png", "y/a_gradcam.png"]),
        (["pics"], FOLDER),
        (["pics/**/*"], FOLDER),
        (["pics/*/a.jpg"], ["x/a_gradcam.png", "y/a_gradcam.png"]),
        (["pics/我的 图片/猫.png"], ["猫_gradcam.png"]),
        (["pics/a.jpg", "--format", "jpg"], ["a_gradcam.jpg"]),
        (["pics/a.jpg", "--format", "webp"], ["a_gradcam.webp"]),
        (["pics/a.jpg", "--save-raw"], ["a_gradcam.npy", "a_gradcam.png"]),
    ],
)
def test_names(heatmap, pics, written, arguments, expected):
    result = heatmap(*arguments)
    assert result.exit_code == 0, result.stderr
    assert written() == sorted(expected)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--method", "gradcam"], ["gradcam"]),
        (["--method", "gradcam", "--method", "gradcam"], ["gradcam"]),
        (["--method", "gradcam,hirescam"], ["gradcam", "hirescam"]),
        (["--layer", "features.0"], ["gradcam"]),
        (["--layer", "features.0", "--layer", "features.2"], ["gradcam_features.0", "gradcam_features.2"]),
        (["--layer", "features.[02]"], ["gradcam_features.0", "gradcam_features.2"]),
        (["--target", "top1"], ["gradcam"]),
        (["--target", "top3"], ["gradcam_top1", "gradcam_top2", "gradcam_top3"]),
        (["--target", "0", "--target", "1"], ["gradcam_0", "gradcam_1"]),
        (["--target", "tabby, tiger"], ["gradcam_tabby", "gradcam_tiger"]),
        (["--target", "tiger cat", "--target", "tabby_cat"], ["gradcam_tiger-cat", "gradcam_tabby-cat"]),
        (["--target", "owl, large", "--target", "owl"], ["gradcam_owl-large", "gradcam_owl"]),
        (["--target", "tabby vs owl"], ["gradcam"]),
        (
            ["--target", "top2", "--layer", "features.0,features.1", "--method", "gradcam,layercam"],
            [
                f"{m}_{t}_{la}"
                for t in ("top1", "top2")
                for la in ("features.0", "features.1")
                for m in ("gradcam", "layercam")
            ],
        ),
    ],
)
def test_a_name_has_the_method_and_whatever_else_several_of_were_asked_for(heatmap, pics, written, options, parts):
    result = heatmap("pics/a.jpg", "--labels", "names.txt", *options)
    assert result.exit_code == 0, result.stderr
    assert written() == sorted(f"a_{part}.png" for part in parts)
    assert [line.rpartition("/")[2] for line in result.stdout.splitlines()] == [f"a_{part}.png" for part in parts]


@pytest.mark.parametrize("size", [1, 2, 8])
def test_the_same_names_in_batches_of_any_size(heatmap, pics, written, size):
    heatmap("pics", "--batch-size", size)
    assert written() == sorted(FOLDER)


def test_a_bad_image_does_not_change_the_names_of_others(heatmap, pics, written, tmp_path):
    (tmp_path / "pics" / "a.jpg").write_text("words")
    heatmap("pics")
    assert written() == sorted(FOLDER)[1:]


def test_the_output_folder_inside_the_input_folder(run, pics, net_file, written, tmp_path):
    out = tmp_path / "pics" / "results"
    for _ in range(2):
        result = run("heatmap", "pics", "--model", f"{net_file}:Net", "--input-size", 32, "-o", out)
        assert result.exit_code == 0
    assert written(out) == sorted(FOLDER)


def test_paths_on_standard_input(heatmap, pics, written):
    result = heatmap("-", stdin="pics/x/a.jpg\npics/a.png\npics/a.png\n")
    assert result.exit_code == 0
    assert written() == ["pics/a.png_gradcam.png", "pics/x/a_gradcam.png"]  # a.jpg may come on a later line


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
