"""Wrong requests: two lines that quote what was typed, status 2, nothing computed, nothing written."""

from __future__ import annotations

import os

import pytest

from camviz.models.catalog import classifiers


@pytest.fixture
def a(tmp_path, write_image, monkeypatch):
    """A good image, a.png, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return write_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("options", "quoted"),
    [
        (["--layer", "featurs"], ["no layer 'featurs' in net:Net", "did you mean 'features'"]),
        (["--layer", "features.-9"], ["no layer 'features.-9'", "camviz layers"]),
        (["--layer", "fc"], ["layer 'fc'"]),
        (["--method", "gardcam"], ["no method 'gardcam'", "did you mean 'gradcam'", "'camviz methods' lists all"]),
        (["--method", "gradcam,zzz"], ["no method 'zzz'"]),
        (["--target", "4"], ["no class 4 in net:Net", "0 to 3"]),
        (["--target", "top5"], ["net:Net", "4 classes"]),
        (["--target", "tabby"], ["no class 'tabby'", "--labels"]),
        (["--labels", "names.txt", "--target", "tigr cat"], ["no class 'tigr cat'", "did you mean 'tiger cat'"]),
        (["--labels", "names.txt", "--target", "cat"], ["'cat' matches 2 classes", "0 'tabby cat', 1 'tiger cat'"]),
        (["--labels", "names.txt", "--target", "zzzz"], ["no class 'zzzz'", "'tabby cat'"]),
        (["--labels", "gone.txt"], ["no labels file 'gone.txt'"]),
        (["--model", "resnet5"], ["no model 'resnet5'", "did you mean 'resnet50'", "'camviz models' lists all"]),
        (["--model", "net.py:Nett"], ["no name 'Nett'", "did you mean 'Net'"]),
        (["--model", "gone.py:Net"], ["no file 'gone.py'"]),
        (["--model", "a.pth"], ["no file of weights 'a.pth'", "--model FILE"]),
        (["--model", "resnet18", "--weights", "V9"], ["no weights 'V9'", "IMAGENET1K_V1"]),
        (["--model", "resnet18", "--target", "1000"], ["no class 1000 in resnet18", "0 to 999"]),
        (["--model", "resnet18", "--target", "cat"], ["282 'tiger cat', 283 'Persian cat'"]),
        (["--model", "resnet18", "--model-args", "depth=3"], ["--model-args", "'resnet18'"]),
        (["--weights", "gone.pth"], ["no weights 'gone.pth'"]),
        (["--checkpoint", "gone.pth"], ["no checkpoint file 'gone.pth'"]),
        (["--checkpoint", "a.png"], ["checkpoint 'a.png'", "not a checkpoint"]),
        (["--checkpoint", "empty.pth"], ["checkpoint 'empty.pth' is empty"]),
        (["--checkpoint", "."], ["checkpoint '.' is a folder"]),
        (["--model-args", "depth"], ["--model-args 'depth' is not NAME=VALUE"]),
        (["--model-args", "depht=3"], ["TypeError", "depht"]),
        (["--input-size", "big"], ["--input-size 'big' is not a size", "--input-size 224"]),
        (["--input-size", "0"], ["--input-size '0'"]),
        (["--input-size", "²"], ["--input-size '²'"]),
        (["--input-size", "1x2x3"], ["--input-size '1x2x3'"]),
        (["--mean", "a,b"], ["--mean 'a,b' is not a list of numbers"]),
        (["--mean", "0.5,0.5"], ["--mean has 2 value(s)"]),
        (["--std", "0"], ["--std has a zero"]),
        (["--device", "gpu"], ["no device 'gpu'", "cpu"]),
        (["--precision", "fp8"], ["'fp8'", "--precision", "'bf16'"]),
        (["--batch-size", "-1"], ["'-1'", "--batch-size"]),
        (["--batch-size", "many"], ["'many'", "--batch-size"]),
        (["--score", "odds"], ["'odds'", "'logit'"]),
        (["--fit", "crop"], ["'crop'", "'squash'"]),
        (["--sign", "minus"], ["'minus'", "'negative'"]),
        (["--layout", "overly"], ["no layout 'overly'", "did you mean 'overlay'"]),
        (["--colormap", "viridiss"], ["no color map 'viridiss'", "did you mean 'viridis'"]),
        (["--alpha", "2"], ["2"]),
        (["--alpha", "thick"], ["'thick'", "--alpha"]),
        (["--scale", "shared:x"], ["no scale 'shared:x'", "fixed:2.5"]),
        (["--format", "bmp"], ["no format 'bmp'", "png"]),
        (["--output", "a.png"], ["output 'a.png'", "is also an input"]),
        (["--output", "names.txt"], ["output 'names.txt'", "is a file"]),
        (["--output", "a.png/deeper"], ["output 'a.png/deeper'", "'"]),
        (["--layr", "x"], ["no option '--layr'", "did you mean '--layer'"]),
        (["--layer"], ["--layer", "requires an argument"]),
        (["-z"], ["no option '-z'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value[0].startswith("-") else "",
)
def test_a_wrong_request(heatmap, a, tmp_path, refused, written, options, quoted):
    (tmp_path / "names.txt").write_text("tabby cat\ntiger cat\nowl\neel\n")
    (tmp_path / "empty.pth").touch()
    before = written(tmp_path)
    result = heatmap("-q", "a.png", *options)
    refused(result, *quoted)
    assert set(written(tmp_path)) - {"net.py"} <= set(before)
    assert written() == []


@pytest.mark.parametrize(
    ("arguments", "quoted"),
    [
        (["heatmapp"], ["no command 'heatmapp'", "did you mean 'heatmap'", "'camviz --help'"]),
        (["zzz"], ["no command 'zzz'", "'camviz --help'"]),
        (["--versoin"], ["no option '--versoin'", "did you mean '--version'"]),
        (["models", "resnet5x"], ["no model 'resnet5x'", "did you mean 'resnet50'"]),
        (["models", "resnet", "vgg"], ["vgg"]),
        (["methods", "gardcam"], ["no method 'gardcam'", "did you mean 'gradcam'"]),
        (["layers", "resnet5"], ["no model 'resnet5'", "did you mean 'resnet50'"]),
        (["layers", "squeezenet1_1", "--filter", "zzz"], ["no layer 'zzz' in squeezenet1_1"]),
        (["layers", "squeezenet1_1", "--depth", "0"], ["'0'", "--depth"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_other_commands(run, refused, arguments, quoted):
    refused(run(*arguments), *quoted)


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("gone.png", "no file 'gone.png'"),
        ("none", "no images in folder 'none'"),
        ("*.bmp", "nothing matches '*.bmp'"),
        ("-", "no path came on standard input"),
    ],
)
def test_inputs_that_are_not_there_are_failures_of_their_own(heatmap, a, tmp_path, refused, written, argument, says):
    (tmp_path / "none").mkdir()
    refused(heatmap(argument, "-q", stdin=""), says, status=1)
    assert written() == []
    result = heatmap(argument, "a.png", "-q", stdin="")
    assert result.exit_code == 1
    assert written() == ["a_gradcam.png"]


def test_no_model_is_loaded_where_no_input_is_there(heatmap, a, monkeypatch):
    """Or even downloaded, for a name that was mistyped."""

    def build(*_):
        raise AssertionError("a model was built")

    monkeypatch.setattr("camviz.models.load.to_device", build)
    result = heatmap("gone.png", "*.bmp")
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error")]
    assert errors == ["error: nothing matches '*.bmp'", "error: no file 'gone.png'"]
    assert "a model was built" in heatmap("gone.png", "a.png").stderr


def test_a_class_the_model_lacks_is_told_before_the_first_image(heatmap, a, monkeypatch, refused):
    def read(*_, **__):
        raise AssertionError("an image was read")

    monkeypatch.setattr("camviz.run.reading.read_image", read)
    refused(heatmap("a.png", "--layer", "nowhere", "-q"), "no layer 'nowhere'")
    refused(heatmap("a.png", "--checkpoint", "gone.pth", "-q"), "no checkpoint")


def test_a_device_that_is_not_here(heatmap, a, refused, written):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    refused(heatmap("a.png", "--device", "cuda:7", "-q"), "no device 'cuda:7' on this machine", "--device cpu")
    assert written() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_that_may_not_be_written(run, a, net_file, tmp_path, refused):
    (tmp_path / "locked").mkdir(mode=0o500)
    refused(run("heatmap", "a.png", "--model", f"{net_file}:Net", "-o", "locked"), "locked")


def test_a_download_that_fails(run, a, monkeypatch, tmp_path, refused):
    from urllib.error import URLError

    def fail(*_, **__):
        raise URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    said = refused(run("heatmap", "a.png", "--model", "squeezenet1_1", "-q"), "squeezenet1_1", "--weights none")
    [url] = classifiers()["squeezenet1_1"].weights.values()
    assert url in said
    assert str(tmp_path / "torch" / "hub" / "checkpoints" / url.rpartition("/")[2]) in said
    assert not (tmp_path / "camviz_out").exists()


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["a.png", "-m", "demo"], "no command 'a.png'", "camviz heatmap a.png -m demo"),
        (["photo.jpg"], "no command 'photo.jpg'", "camviz heatmap photo.jpg"),
        (["heatmap", "--model"], "'--model' requires an argument", "'camviz heatmap --help-all'"),
        (["filters", "a.png"], "'a.png' is not expected: 'camviz filters' takes no images", "filters --help"),
        (["layers", "demo", "b"], "'b' is not expected: 'camviz layers' takes MODEL", "layers --help"),
        (["heatmap", "-m", "demo", "--set", "samples=5"], "'gradcam' has no settings", "--method smooth"),
        (
            ["heatmap", "-m", "demo", "--set", "smoothgrad.samples=5"],
            "smoothgrad.samples=5",
            "--method gradcam,smoothgrad",
        ),
        (["heatmap", "-m", "demo", "--fuse", "mean"], "the default one", "--layer A,B --fuse mean"),
        (["heatmap", "-m", "demo", "--format", "bmp"], "no format 'bmp'", "hint: one of: png, jpg, jpeg, webp"),
        (["filters", "--channel", "0", "--top", "1"], "--top 1 has no effect with --channel 0", "leave out --top 1"),
        (["features", "--reduce", "pca", "--top", "3"], "--top 3 has no effect with --reduce pca", "leave out --top 3"),
        (["features", "--layout", "strip", "--channel", "3"], "--channel 3", "leave"),
        (["evaluate", "--json", "--format", "csv"], "--format csv has no effect with --json", "leave out --format csv"),
    ],
)
def test_what_is_typed_first(run, a, refused, written, tmp_path, arguments, message, hint):
    """Mistakes of somebody who has not read anything, each with what to type instead."""
    text = refused(run(*arguments))
    assert message in text.splitlines()[0]
    assert hint in text.splitlines()[1]
    assert written(tmp_path / "camviz_out") == []
