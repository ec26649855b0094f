"""Names of results follow from the arguments alone and never collide."""

from __future__ import annotations

import pytest


@pytest.fixture
def pics(tmp_path, write_image, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(["a.jpg", "a.png", "x/a.jpg", "y/a.jpg", "我的 图片/猫.png"]):
        write_image(tmp_path / "pics" / name, seed=seed)
    (tmp_path / "names.txt").write_text("tabby cat\ntiger cat\nowl, large\nowl\n")


FOLDER = ["a.jpg.png", "a.png.png", "x/a.jpg.png", "y/a.jpg.png", "我的 图片/猫.png.png"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["pics/a.jpg"], ["a.jpg.png"]),
        (["pics/x/a.jpg"], ["a.jpg.png"]),
        (["pics/a.jpg", "pics/a.png"], ["a.jpg.png", "a.png.png"]),
        (["pics/x/a.jpg", "pics/y/a.jpg"], ["x/a.jpg.png", "y/a.jpg.png"]),
        (["pics"], FOLDER),
        (["pics/**/*"], FOLDER),
        (["pics/*/a.jpg"], ["x/a.jpg.png", "y/a.jpg.png"]),
        (["pics/我的 图片/猫.png"], ["猫.png.png"]),
        (["pics/a.jpg", "--format", "jpg"], ["a.jpg.jpg"]),
        (["pics/a.jpg", "--format", "webp"], ["a.jpg.webp"]),
        (["pics/a.jpg", "--save-raw"], ["a.jpg.npy", "a.jpg.png"]),
    ],
)
def test_names(heatmap, pics, written, arguments, expected):
    result = heatmap(*arguments)
    assert result.exit_code == 0, result.stderr
    assert written() == sorted(expected)


@pytest.mark.parametrize(
    ("options", "facets"),
    [
        (["--method", "gradcam"], [""]),
        (["--method", "gradcam", "--method", "gradcam"], [""]),
        (["--method", "gradcam,hirescam"], [".gradcam", ".hirescam"]),
        (["--layer", "features.0"], [""]),
        (["--layer", "features.0", "--layer", "features.2"], [".features.0", ".features.2"]),
        (["--layer", "features.[02]"], [".features.0", ".features.2"]),
        (["--target", "top1"], [""]),
        (["--target", "top3"], [".top1", ".top2", ".top3"]),
        (["--target", "0", "--target", "1"], [".0", ".1"]),
        (["--target", "tabby, tiger"], [".tabby", ".tiger"]),
        (["--target", "owl, large", "--target", "owl"], [".owl_large", ".owl"]),
        (["--target", "tabby vs owl"], [""]),
        (
            ["--target", "top2", "--layer", "features.0,features.1", "--method", "gradcam,layercam"],
            [
                f".{t}.{la}.{m}"
                for t in ("top1", "top2")
                for la in ("features.0", "features.1")
                for m in ("gradcam", "layercam")
            ],
        ),
    ],
)
def test_a_name_carries_a_facet_only_when_there_are_several(heatmap, pics, written, options, facets):
    result = heatmap("pics/a.jpg", "--labels", "names.txt", *options)
    assert result.exit_code == 0, result.stderr
    assert written() == sorted(f"a.jpg{facet}.png" for facet in facets)
    assert [line.rpartition("/")[2] for line in result.stdout.splitlines()] == [f"a.jpg{facet}.png" for facet in facets]


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
    assert written() == ["pics/a.png.png", "pics/x/a.jpg.png"]
