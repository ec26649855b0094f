"""What scripts rely on: stdout, stderr, --json, --quiet, exit statuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from camviz.io.images import read_image
from camviz.models.preprocess import prepare
from camviz.types import Preprocessing


@pytest.fixture
def pics(tmp_path, write_image, monkeypatch) -> Path:
    """A folder with two good images, x/a.png and b.png, in the current folder."""
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "pics" / "x" / "a.png", seed=1)
    write_image(tmp_path / "pics" / "b.png", seed=2)
    return tmp_path / "pics"


def test_stdout_is_the_written_paths_and_nothing_else(heatmap, pics, written, tmp_path):
    result = heatmap("pics", "--method", "gradcam", "--method", "cam")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert len(lines) == 4
    assert all(Path(line).is_file() for line in lines)
    assert sorted(Path(line).relative_to(tmp_path / "out").as_posix() for line in lines) == written()


def test_words_are_on_stderr(heatmap, pics):
    result = heatmap("pics")
    assert "layer: features" in result.stderr
    assert "2 images, 2 files in" in result.stderr


def test_the_scale_is_told_where_maps_could_be_compared(heatmap, pics):
    line = "scale: each map has its own (--scale row or run shares one, --layout panel shows it)"
    assert line in heatmap("pics").stderr.splitlines()
    alone = next(iter(sorted(pics.iterdir())))
    for options in (["pics", "--layout", "panel"], ["pics", "--scale", "row"], [alone]):
        assert "scale:" not in heatmap(*options).stderr


def test_quiet_keeps_the_paths_and_the_errors(heatmap, pics):
    (pics / "bad.jpg").write_text("words")
    quiet = heatmap("pics", "--quiet")
    assert quiet.stdout == heatmap("pics", "--overwrite").stdout
    assert [line.partition(":")[0] for line in quiet.stderr.splitlines()] == ["error", "hint"]
    (pics / "bad.jpg").unlink()
    assert heatmap("pics", "-q").stderr == ""


def test_the_path_is_as_the_output_was_given(run, pics, net_file):
    fixed = ["heatmap", "pics/b.png", "--model", f"{net_file}:Net", "--input-size", 32]
    assert run(*fixed, "-o", "there").stdout == str(Path("there", "b_gradcam.png")) + "\n"
    assert run(*fixed).stdout == str(Path("camviz_out", "b_gradcam.png")) + "\n"


def test_what_a_model_prints_is_not_on_stdout(run, pics, net_file, tmp_path):
    (tmp_path / "loud.py").write_text(
        "from net import Net\nprint('LOADING')\nclass Loud(Net):\n"
        "    def forward(self, x):\n        print('FORWARD')\n        return super().forward(x)\n"
    )
    result = run("heatmap", "pics", "--model", "loud.py:Loud", "--input-size", 32)
    assert len(result.stdout.splitlines()) == 2
    assert "LOADING" not in result.stdout
    assert "FORWARD" not in result.stdout
    assert "LOADING" in result.stderr
    listing = run("layers", "loud.py:Loud", "--input-size", 32, "--json").stdout
    assert all(json.loads(line)["path"] for line in listing.splitlines())


# --json


def test_json_is_one_object_per_artifact(heatmap, pics, net):
    result = heatmap("pics/x/a.png", "--target", "2", "--json")
    [line] = result.stdout.splitlines()
    found = json.loads(line)
    assert Path(found["path"]).is_file()
    how = Preprocessing((32, 32), 32)
    values, view = prepare(read_image(pics / "x" / "a.png"), how)
    with torch.no_grad():
        logits = net().eval()(torch.from_numpy(values)[None])[0]
    assert found["input"] == "pics/x/a.png"
    assert found["method"] == "gradcam"
    assert found["layer"].startswith("features")
    assert (found["target"], found["index"]) == ("class 2", 2)
    assert found["score"] == pytest.approx(float(logits[2]), abs=1e-4)
    assert found["probability"] == pytest.approx(float(logits.softmax(0)[2]), abs=1e-4)
    assert found["size"] == [40, 32]
    assert found["map"] == [8, 8]
    assert found["box"] == list(view.box)
    assert found["min"] <= found["max"]


def test_json_of_several_in_the_order_of_the_files(heatmap, pics):
    options = ["pics", "--target", "top3", "--method", "gradcam,hirescam", "--save-raw"]
    found = [json.loads(line) for line in heatmap(*options, "--json").stdout.splitlines()]
    assert [one["path"] for one in found] == heatmap(*options, "--overwrite").stdout.splitlines()
    assert len(found) == 2 * 3 * 2 * 2
    assert {one["kind"] for one in found} == {"overlay", "raw"}
    assert len({one["index"] for one in found if one["input"] == "pics/b.png"}) == 3
    assert {"path", "input", "method", "layer", "target", "index", "score", "probability"} <= set(found[0])


def test_json_is_told_with_names(heatmap, pics, tmp_path):
    (tmp_path / "names.txt").write_text("猫\ndog\nowl\neel\n", "utf-8")
    [line] = heatmap("pics/b.png", "--labels", "names.txt", "--target", "猫", "--json").stdout.splitlines()
    assert '"target": "猫"' in line
    assert json.loads(line)["index"] == 0


def test_a_score_that_is_not_finite_is_null(heatmap, pics, net, tmp_path):
    state = net().state_dict()
    state["fc.bias"] = torch.full((4,), float("nan"))
    torch.save(state, tmp_path / "nan.pth")
    result = heatmap("pics/b.png", "--checkpoint", "nan.pth", "--target", "0", "--json")
    assert json.loads(result.stdout)["score"] is None


# exit statuses


def test_one_bad_image_does_not_stop_the_others(heatmap, pics, written):
    (pics / "a_bad.jpg").write_text("words")
    (pics / "c_bad.png").touch()
    result = heatmap("pics", "gone.jpg")
    assert result.exit_code == 1
    assert written() == ["pics/b_gradcam.png", "pics/x/a_gradcam.png"]
    assert len(result.stdout.splitlines()) == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == result.stderr.count("hint: ") == 3
    for name in ("a_bad.jpg", "c_bad.png", "gone.jpg"):
        assert sum(name in error for error in errors) == 1
    assert "2 images, 2 files, 3 failed" in result.stderr


def test_nothing_but_bad_images(heatmap, pics, refused):
    (pics / "b.png").write_text("words")
    refused(heatmap("pics/b.png", "-q"), "pics/b.png", status=1)


def test_all_well_is_0_and_no_error(heatmap, pics):
    result = heatmap("pics")
    assert result.exit_code == 0
    assert "error:" not in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["heatmap", "--help"], ["layers", "-h"], ["--version"]])
def test_help_and_version(run, arguments):
    result = run(*arguments)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "camviz" in result.stdout


def test_without_a_command_the_help_and_no_error(run):
    result = run()
    assert "heatmap" in result.output
    assert "error:" not in result.output


def test_an_interruption_is_130(heatmap, pics, monkeypatch, refused):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("camviz.run.reading.read_image", interrupt)
    refused(heatmap("pics", "-q"), "interrupted", "interrupted", status=130)


def test_a_bug_is_told_in_two_lines_too(heatmap, pics, monkeypatch):
    def crash(*_, **__):
        raise ZeroDivisionError("of\nall things")

    monkeypatch.setattr("camviz.run.reading.read_image", crash)
    result = heatmap("pics/b.png", "-q")
    assert result.exit_code == 1  # the image failed; the others would go on
    assert "'pics/b.png': unexpected ZeroDivisionError: of all things" in result.stderr.splitlines()[0]
    assert len(result.stderr.splitlines()) == 2
    monkeypatch.setenv("CAMVIZ_TRACEBACK", "1")
    assert isinstance(heatmap("pics", "-q").exception, ZeroDivisionError)


# what is written


@pytest.mark.parametrize(
    "options", [[], ["--layout", "panel"], ["--format", "webp"], ["--save-raw"], ["--format", "jpg"]]
)
def test_the_same_command_writes_the_same_bytes(run, pics, net_file, written, tmp_path, options):
    for folder in ("one", "two"):
        fixed = ["--model", f"{net_file}:Net", "--input-size", 32, "--target", "top2", "--output", folder]
        assert run("heatmap", "pics", *fixed, *options).exit_code == 0
    names = written(tmp_path / "one")
    assert names
    assert names == written(tmp_path / "two")
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_running_again_writes_over(heatmap, pics, written):
    first = heatmap("pics")
    names = written()
    (Path(first.stdout.splitlines()[0])).write_bytes(b"old")
    heatmap("pics")
    assert written() == names
    assert Image.open(first.stdout.splitlines()[0]).size == (8 * 40, 8 * 32)


def test_no_temporary_file_is_left(heatmap, pics, written):
    (pics / "bad.jpg").write_text("words")
    heatmap("pics", "--save-raw")
    assert all(name.endswith((".png", ".npy")) and "/." not in f"/{name}" for name in written())


def test_a_raw_map_is_the_map_itself(heatmap, pics):
    shown, raw = heatmap("pics/b.png", "--save-raw", "--json").stdout.splitlines()
    values = np.load(json.loads(raw)["path"])
    assert values.dtype == np.float32
    assert list(values.shape) == json.loads(shown)["map"]
    assert float(values.max()) == json.loads(shown)["max"]


def test_pure_red_stays_red(heatmap, tmp_path):
    Image.new("RGB", (48, 32), (255, 0, 0)).save(tmp_path / "red.png")
    path = heatmap(tmp_path / "red.png", "--alpha", "0", "--fit", "squash").stdout.strip()
    assert Image.open(path).size == (8 * 48, 8 * 32)
    assert Image.open(path).getcolors() == [(64 * 48 * 32, (255, 0, 0))]


def test_the_result_has_the_size_of_the_upright_image(heatmap, tmp_path, pixels):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels(60, 44)).save(tmp_path / "a.jpg", exif=exif)
    path = heatmap(tmp_path / "a.jpg").stdout.strip()
    assert Image.open(path).size == (6 * 44, 6 * 60)


@pytest.mark.parametrize(("size", "times"), [((1, 1), 256), ((3, 200), 10), ((33, 31), 9)])
def test_images_of_any_size(heatmap, write_image, tmp_path, size, times):
    write_image(tmp_path / "a.png", *size)
    result = heatmap(tmp_path / "a.png")
    assert result.exit_code == 0, result.stderr
    assert Image.open(result.stdout.strip()).size == (times * size[0], times * size[1])


def test_gray_models(run, pics, net_file):
    result = run("heatmap", "pics", "--model", f"{net_file}:gray", "--input-size", 32, "--mean", "0.5", "--std", "0.5")
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) == 2


def test_a_blank_map_has_a_reason(heatmap, pics, net, tmp_path):
    state = net().state_dict()
    state["fc.weight"] = torch.zeros(4, 16)
    torch.save(state, tmp_path / "dead.pth")
    result = heatmap("pics/b.png", "--checkpoint", "dead.pth", "--json")
    assert "blank" in json.loads(result.stdout)["note"]
    [note] = [line for line in result.stderr.splitlines() if line.startswith("note: b_gradcam.png")]
    assert "blank" in note


# nothing given


def test_without_images_the_samples_and_the_demo(run, tmp_path, monkeypatch, written):
    from camviz.demo import sample_folder

    monkeypatch.chdir(tmp_path)
    samples = written(sample_folder())
    assert samples
    result = run("heatmap", "--json", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert {one["model"] for one in found} == {"demo"}
    assert {Path(one["input"]).name for one in found} <= {Path(name).name for name in samples}
    assert len(found) > 1
    assert "bundled samples" in result.stderr


def test_with_images_the_default_model_is_another(monkeypatch, run, pics):
    from camviz.models.load import plan

    asked = []
    monkeypatch.setattr("camviz.models.load.plan", lambda request: asked.append(request.spec) or plan(request))
    run("heatmap", "pics/b.png", "--target", "no such class")
    run("heatmap", "--target", "no such class")
    assert asked == ["mobilenet_v3_large", "demo"]
