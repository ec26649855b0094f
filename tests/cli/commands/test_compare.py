"""`camviz compare`: what belongs to which model, figures, table, sheet, going on where it stopped."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import pytest
import torch
from PIL import Image


@pytest.fixture
def images(write_image, tmp_path):
    for number in range(3):
        write_image(tmp_path / "photos" / f"{number}.png", seed=number)
    return tmp_path / "photos"


@pytest.fixture
def compare(run, net_file, tmp_path):
    def invoke(*arguments, net: str = f"{net_file}:Net"):
        first = ["--input-size", 32, "--output", tmp_path / "out", "--dpi", 50]
        filled = [net if one == "NET" else one for one in arguments]
        return run("compare", *first, *filled)

    return invoke


@pytest.fixture
def checkpoints(net, tmp_path):
    for epoch in (1, 2, 10):
        torch.save(net(seed=epoch).state_dict(), tmp_path / f"epoch_{epoch}.pth")
    return tmp_path / "epoch_*.pth"


def table(tmp_path):
    with (tmp_path / "out" / "compare.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_two_models_a_folder_a_table_and_a_sheet(compare, images, tmp_path, written):
    result = compare(images, "-m", "NET", "-m", "NET", "--model-args", "seed=3", "--name", "old", "--name", "new")
    assert result.exit_code == 0, result.stderr
    assert written() == ["0_compare.png", "1_compare.png", "2_compare.png", "compare.csv", "summary.png"]
    assert result.stdout.split() == [str(tmp_path / "out" / name) for name in written()]
    rows = table(tmp_path)
    assert [(row["image"], row["side"]) for row in rows] == [
        (f"{n}.png", side) for n in range(3) for side in ("old", "new")
    ]
    assert all(row["target"] == rows[number - number % 2]["target"] for number, row in enumerate(rows))
    assert all((row["correlation"] == "") == (row["side"] == "old") for row in rows)
    assert Image.open(tmp_path / "out" / "0_compare.png").width == round(180 / 25.4 * 50)


def test_equal_models_do_not_differ(compare, images, tmp_path):
    compare(images, "-m", "NET", "-m", "NET", "--json")
    for row in table(tmp_path)[1::2]:
        assert float(row["correlation"]) == pytest.approx(1)
        assert float(row["iou"]) == 1
        assert float(row["difference"]) == 0


def test_again_does_nothing_and_a_missing_figure_is_drawn_without_the_model(compare, images, tmp_path, monkeypatch):
    arguments = (images, "-m", "NET", "-m", "NET", "--model-args", "seed=3")
    compare(*arguments)
    again = compare(*arguments)
    assert (again.exit_code, again.stdout) == (0, "")
    (tmp_path / "out" / "1_compare.png").unlink()
    monkeypatch.setattr("camviz.run.compare.compare_task", lambda *_: pytest.fail("the model was asked"))
    names = [line.rpartition("/")[2] for line in compare(*arguments).stdout.splitlines()]
    assert names == ["1_compare.png", "compare.csv", "summary.png"]


def test_a_bad_image_does_not_stop_the_others(compare, images, tmp_path):
    (images / "bad.png").write_bytes(b"nothing")
    result = compare(images, "-m", "NET", "-m", "NET")
    assert result.exit_code == 1
    assert "bad.png" in result.stderr
    assert len(table(tmp_path)) == 6


def test_options_belong_to_the_model_before_them_and_else_to_all(compare, images, tmp_path, net):
    torch.save(net(seed=5).state_dict(), tmp_path / "five.pth")
    compare(images / "0.png", "-m", "NET", "-c", tmp_path / "five.pth", "-m", "NET", "--json")
    first, second = table(tmp_path)
    assert (first["side"], second["side"]) == ("five", "net.py:Net")
    (tmp_path / "out" / "compare.csv").unlink()
    compare(images / "0.png", "-c", tmp_path / "five.pth", "-m", "NET", "-m", "NET", "--overwrite")
    first, second = table(tmp_path)
    assert first["max"] == second["max"]


def test_layers_and_methods_of_one_model(compare, images, tmp_path):
    compare(images / "0.png", "-m", "NET", "--layer", "features.1,features.3")
    assert [row["side"] for row in table(tmp_path)] == ["features.1", "features.3"]
    compare(images / "0.png", "-m", "NET", "--method", "gradcam,layercam,eigencam", "--overwrite")
    assert [row["side"] for row in table(tmp_path)] == ["gradcam", "layercam", "eigencam"]
    assert compare(images, "-m", "NET", "-l", "features.1", "-m", "NET", "-l", "features.3").exit_code == 0
    assert [row["layer"] for row in table(tmp_path)][:2] == ["features.1", "features.3"]


def test_checkpoints_of_a_training_in_the_order_of_their_numbers(compare, images, tmp_path, checkpoints):
    result = compare(images / "0.png", "-m", "NET", "-c", checkpoints, "--layout", "strip")
    assert result.exit_code == 0, result.stderr
    rows = table(tmp_path)
    assert [row["side"] for row in rows] == ["epoch_1", "epoch_2", "epoch_10"]
    assert {row["target"] for row in rows} == {rows[-1]["prediction"]}, "the last one says what is explained"
    told = [line for line in result.stderr.splitlines() if "tensors fit" in line]
    assert set(told) == {f"note: epoch_{n}: checkpoint: 6 of 6 tensors fit" for n in (1, 2, 10)}


def test_checkpoints_one_by_one_and_by_patterns(compare, images, tmp_path, checkpoints):
    one, two = checkpoints.with_name("epoch_2.pth"), checkpoints.with_name("epoch_1*.pth")
    result = compare(images / "0.png", "-m", "NET", "-c", one, "-c", two, "--layout", "strip")
    assert result.exit_code == 0, result.stderr
    assert [row["side"] for row in table(tmp_path)] == ["epoch_2", "epoch_1", "epoch_10"]


def test_a_film_has_a_frame_for_each(compare, images, tmp_path, checkpoints):
    result = compare(images / "0.png", "-m", "NET", "-c", checkpoints, "--format", "gif")
    assert result.exit_code == 0, result.stderr
    assert Image.open(tmp_path / "out" / "0_compare.gif").n_frames == 3


def test_many_checkpoints_are_a_strip_with_one_model_at_a_time(compare, images, tmp_path, net):
    for epoch in range(9):
        torch.save(net(seed=epoch).state_dict(), tmp_path / f"e{epoch}.pth")
    result = compare(images, "-m", "NET", "-c", tmp_path / "e*.pth")
    assert result.exit_code == 0, result.stderr
    assert len(table(tmp_path)) == 27


@pytest.mark.parametrize("word", ["random", "shuffled"])
def test_randomized_weights(compare, images, tmp_path, word):
    result = compare(images / "0.png", "-m", "NET", "-m", "NET", "--weights", word)
    assert result.exit_code == 0, result.stderr
    first, second = table(tmp_path)
    assert first["max"] != second["max"]
    assert second["side"] == "random"


@pytest.mark.parametrize("format", ["svg", "pdf"])
def test_formats_for_print(compare, images, tmp_path, format):
    if format == "pdf":
        pytest.importorskip("fpdf", reason="pip install fpdf2")
    result = compare(images, "-m", "NET", "-m", "NET", "--format", format, "--width", "single")
    assert result.exit_code == 0, result.stderr
    start = (tmp_path / "out" / f"summary.{format}").read_bytes()[:5]
    assert start == {"svg": b"<?xml", "pdf": b"%PDF-"}[format]


def test_one_scale_for_the_run_is_redrawn_when_a_stronger_image_comes(compare, images, tmp_path):
    arguments = ("-m", "NET", "-m", "NET", "--model-args", "seed=3", "--scale", "run", "--json", "--top", "0")
    one = [json.loads(line) for line in compare(images / "0.png", *arguments).stdout.splitlines()]
    assert one[0]["high"] == max(abs(side["max"]) for side in one[0]["sides"] if side["max"] > 0)
    many = [json.loads(line) for line in compare(images, *arguments).stdout.splitlines()]
    highs = {one["high"] for one in many if one["kind"] == "comparison"}
    assert len(highs) == 1
    assert highs.pop() == max(side["max"] for one in many if "sides" in one for side in one["sides"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-m", "NET"], "2 to 6 maps per image, got 1"),
        (["-m", "NET"] * 7, "got 7"),
        (["-m", "NET", "-m", "NET", "--name", "a"], "1 names for 2 models"),
        (["-m", "NET", "-c", "none_*.pth"], "none_*.pth"),
        (["-m", "NET", "--weights", "a", "--weights", "b"], "--weights twice"),
        (["-m", "NET", "-m", "NET", "--width", "wide"], "wide"),
        (["-m", "NET", "-m", "NET", "--width", "5"], "5 mm"),
        (["-m", "NET", "-m", "NET", "--font", "NoSuch"], "NoSuch"),
        (["-m", "NET", "-m", "NET", "--format", "tiff"], "tiff"),
        (["-m", "NET", "-m", "NET", "--scale", "rows"], "rows"),
        (["x.pth", "-m", "NET"], "x.pth"),
        (["-m", "NET", "--channel-order", "gbr", "-m", "NET"], "gbr"),
    ],
)
def test_refusals(compare, images, refused, arguments, words):
    refused(compare(images, "-q", *arguments), words)


def test_a_wrong_request_does_not_import_torch():
    code = "import sys; from camviz.cli.app import app; app(sys.argv[1:], standalone_mode=False); "
    code += "assert not {'torch', 'cv2', 'torchvision'} & set(sys.modules)"
    for arguments in (["--help"], ["-m", "demo", "-m", "demo", "--width", "wide"], ["-m", "demo", "-m", "resnet1"]):
        assert subprocess.run([sys.executable, "-c", code, "compare", *arguments], check=False).returncode == 0


@pytest.fixture
def flat(net, tmp_path):
    """Weights that are all the same: every class has the same score."""
    state = {name: torch.full_like(values, 0.1) for name, values in net().state_dict().items()}
    torch.save(state, tmp_path / "flat.pth")
    return ["--checkpoint", tmp_path / "flat.pth", "--target", "1"]


def test_compare_marks_the_side_that_is_weak(run, net_file, flat, write_image, tmp_path):
    modules = ["-m", f"{net_file}:Net", "-m", f"{net_file}:Net", *flat[:2], "--name", "ours", "--name", "flat"]
    asked = ["compare", write_image(tmp_path / "a.png"), *modules, "--input-size", 32, "-t", "1", "--dpi", 50]
    marked = run(*asked, "--floor", "-o", tmp_path / "out")
    assert marked.exit_code == 0, marked.stderr
    assert "flat: weak:" in marked.stderr
    assert "weak:" not in run(*asked, "-o", tmp_path / "plain").stderr
