"""Hints for what people type first. Each hint that is a command is run where it was given, and works."""

from __future__ import annotations

import os
import shlex

import pytest
import torch


@pytest.fixture
def folder(tmp_path, write_image, net_file, monkeypatch):
    """A folder with images, a model, class names, and a home that holds one more image."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("x.jpg", "cat.jpg", "photos/a.png", "home/mine.jpg"):
        write_image(tmp_path / name)
    (tmp_path / "names.txt").write_text("tabby\nzebra\nowl\neel\n")
    return tmp_path


@pytest.fixture
def follow(run, refused, folder, monkeypatch):
    """`follow("heatmap x.jpg --gpu 0")`: type a line that is refused, then its hint; returns the hint."""
    small = ["--weights", "none", "--input-size", "64"]

    def type_both(line: str, **files: str) -> str:
        text = refused(run(*shlex.split(line)), **files)
        hint = text.splitlines()[1].removeprefix("hint: ")
        words = shlex.split(hint)
        assert words[0] == "camviz", hint
        torchvision = {"resnet18", "mobilenet_v2"} & set(words)
        result = run(*words[1:], *(small if torchvision and "--help" not in words else []))
        if "cuda" in hint and not torch.cuda.is_available():
            assert "on this machine" in result.stderr, result.output
        else:
            assert result.exit_code == 0, (hint, result.output)
            assert result.stdout
        return hint

    return type_both


MODEL = "-m net.py:Net --input-size 32"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("heatmap --image x.jpg", "camviz heatmap x.jpg"),
        ("heatmap --image-path=x.jpg", "camviz heatmap x.jpg"),
        ("heatmap x.jpg --out o", "--output o"),
        ("heatmap x.jpg --output-dir o", "--output o"),
        ("heatmap x.jpg --output_dir=o", "--output o"),
        ("heatmap x.jpg --cam gradcam", "--method gradcam"),
        ("heatmap x.jpg --use-cuda", "--device cuda"),
        ("heatmap x.jpg --use_cuda true", "--device cuda"),
        ("heatmap x.jpg --use-cuda false", "--device cpu"),
        ("heatmap x.jpg --gpu 0", "--device cuda:0"),
        ("heatmap --gpu x.jpg", "--device cuda x.jpg"),
        ("heatmap x.jpg --target-layer features.2", "--layer features.2"),
        ("heatmap x.jpg --target_layers features.2", "--layer features.2"),
        ("heatmap x.jpg --class 2", "--target 2"),
        ("heatmap x.jpg --class-idx 2", "--target 2"),
        ("heatmap x.jpg --top-k 3", "--target top3"),
        ("heatmap x.jpg --topk=3", "--target top3"),
        ("heatmap x.jpg -k 3", "--target top3"),
        ("features x.jpg --top-k 3", "--top 3"),
        ("patches photos --topk 3", "--top 3"),
        ("heatmap x.jpg --pretrained", "--weights default"),
        ("heatmap x.jpg --cmap jet", "--colormap jet"),
        ("heatmap x.jpg --img-size 32", "--input-size 32"),
        ("heatmap x.jpg --imgsz 32", "--input-size 32"),
        ("heatmap x.jpg --conf 0.5", "--min-score 0.5"),
        ("heatmap x.jpg --batch_size 2", "--batch-size 2"),
        ("heatmap x.jpg --Save_Raw", "--save-raw"),
        ("heatmap --image x.jpg --Save_Raw false", "camviz heatmap x.jpg"),
        ("heatmap --image x.jpg --use-cuda false --target-layer features.2 --class 2", "--layer features.2 --target 2"),
        ("evaluate x.jpg --metric sparsity --class 2", "--target 2"),
    ],
)
def test_options_of_other_tools(follow, typed, expected):
    command, _, rest = typed.partition(" ")
    hint = follow(f"{command} {MODEL} {rest}")
    assert expected in hint
    assert MODEL in hint


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("heatmap x.jpg --arch net.py:Net --input-size 32", "camviz heatmap x.jpg --model net.py:Net --input-size 32"),
        ("resnet18 x.jpg", "camviz heatmap x.jpg --model resnet18"),
        ("ResNet-18 x.jpg", "camviz heatmap x.jpg --model resnet18"),
        ("net.py:Net x.jpg --input-size 32", "camviz heatmap x.jpg --input-size 32 --model net.py:Net"),
        (f"gradcam x.jpg {MODEL}", f"camviz heatmap x.jpg {MODEL} --method gradcam"),
        (f"GradCAM++ {MODEL}", f"camviz heatmap {MODEL} --method gradcam++"),
        (f"sparsity x.jpg {MODEL}", f"camviz evaluate x.jpg {MODEL} --metric sparsity"),
        ("heatmap mobilenet_v2 x.jpg", "camviz heatmap x.jpg --model mobilenet_v2"),
        ("heatmap net.py:Net x.jpg --input-size 32", "camviz heatmap x.jpg --input-size 32 --model net.py:Net"),
        (f"heatmap gbp x.jpg {MODEL}", f"camviz heatmap x.jpg {MODEL} --method guided-backprop"),
        ("help", "camviz --help"),
        ("help heatmap", "camviz heatmap --help"),
        ("version", "camviz --version"),
        (f"Heat-Map x.jpg {MODEL}", f"camviz heatmap x.jpg {MODEL}"),
        (f"x.jpg {MODEL}", f"camviz heatmap x.jpg {MODEL}"),
    ],
)  # fmt: skip
def test_what_stands_in_the_place_of_something_else(follow, typed, expected):
    assert follow(typed) == expected


def test_a_quoted_home(follow, folder):
    assert follow(f"heatmap '~/mine.jpg' {MODEL}") == f"camviz heatmap {folder}/home/mine.jpg {MODEL}"


@pytest.mark.skipif(os.name == "nt", reason="there it is a path like others")
@pytest.mark.parametrize("typed", [r"C:\photos\cat.jpg", "C:photoscat.jpg", "d:/cat.jpg"])
def test_a_path_of_windows(run, refused, folder, typed):
    refused(run("heatmap", typed, "-m", "demo"), f"'{typed}'", "Windows", "/mnt/")
    (folder / typed).mkdir(parents=True)
    assert "Windows" not in run("heatmap", typed, "-m", "demo").stderr, "here it exists"


@pytest.mark.parametrize(
    ("typed", "meant"), [("cta.jpg", "cat.jpg"), ("photo", "photos"), ("photos/aa.jpg", "photos/a.png")]
)
def test_a_file_that_is_nearly_there(heatmap, refused, folder, typed, meant):
    refused(heatmap(typed), f"no file '{typed}'", f"did you mean '{meant}'?", status=1)
    assert heatmap(meant).exit_code == 0


@pytest.mark.parametrize(
    ("typed", "quoted"),
    [
        ("heatmap x.jpg --layr a", ["'--layr'", "'--layer'"]),
        ("filters --use-cuda", ["'--use-cuda'", "'camviz filters --help-all'"]),  # which has no --device
        ("heatmap x.jpg --class", ["'--class'", "'camviz heatmap --help-all'"]),
        ("heatmap x.jpg --gpu 0 --nothing-like-this", ["'--gpu'"]),
    ],
)
def test_where_no_line_can_be_given(run, refused, folder, typed, quoted):
    refused(run(*typed.split()), *quoted)


def test_a_model_beside_a_model_stays_a_missing_image(run, folder, refused):
    refused(run("heatmap", "mobilenet_v2", "-m", "net.py:Net"), "no file 'mobilenet_v2'", status=1)
