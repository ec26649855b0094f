"""`camviz evaluate` as somebody types it."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from camviz.metrics import METRICS

QUICK = ("--metric", "road,pointing,sparsity", "--forwards", "4", "--resamples", "100")


@pytest.fixture
def evaluate(run, net_file):
    """`evaluate("a.png", …)`: the command with the tiny model."""

    def invoke(*arguments):
        return run("evaluate", "--model", f"{net_file}:Net", "--input-size", 32, *arguments)

    return invoke


@pytest.fixture
def images(write_image, tmp_path):
    """A folder of two images, and masks for them."""
    for number in range(2):
        write_image(tmp_path / "in" / f"{number}.png", seed=number)
        (tmp_path / "masks").mkdir(exist_ok=True)
        mask = np.zeros((32, 40), np.uint8)
        mask[8:20, 10:30] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    return tmp_path / "in"


def test_the_table_is_the_result(evaluate, images, tmp_path, written):
    result = evaluate(images, "--masks", tmp_path / "masks", *QUICK)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines if line.split()][:4] == ["faithfulness", "gradcam", "random", "gaussian"]
    assert max(map(len, lines)) <= 100
    assert "2 images" in result.stdout
    assert not (tmp_path / "camviz_out").exists()
    assert written(tmp_path / "in") == ["0.png", "1.png"]


def test_json_is_one_object_per_method(evaluate, images, tmp_path):
    result = evaluate(images, "--masks", tmp_path / "masks", *QUICK, "--method", "gradcam,layercam", "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["method"] for one in found] == ["gradcam", "layercam", "random", "gaussian"]
    assert all(set(one["pointing"]) == {"mean", "low", "high", "images"} for one in found)
    assert found[0]["pointing"]["images"] == 2


def test_csv_and_files(evaluate, images, tmp_path, written):
    result = evaluate(images, *QUICK[2:], "--metric", "road,sparsity", "--format", "csv", "-o", tmp_path / "out")
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert {(row["method"], row["metric"]) for row in rows} >= {("gradcam", "road"), ("gaussian", "sparsity")}
    assert written() == ["results.csv", "summary.csv", "summary.json"]
    assert (tmp_path / "out" / "summary.csv").read_text() == result.stdout
    each = list(csv.DictReader((tmp_path / "out" / "results.csv").read_text().splitlines()))
    assert [row["image"] for row in each] == ["0.png"] * 3 + ["1.png"] * 3
    means = {row["method"]: float(row["mean"]) for row in rows if row["metric"] == "sparsity"}
    own = [float(row["sparsity"]) for row in each if row["method"] == "gradcam"]
    assert np.mean(own) == pytest.approx(means["gradcam"], abs=1e-5)


def test_rank_names_the_best_and_a_command_that_works(evaluate, run, images, net_file, tmp_path):
    result = evaluate(
        images, "--rank", "--metric", "road", "--forwards", "4", "-l", "features.1", "-l", "features.3",
        "--method", "gradcam,layercam", "--target", "2", "--set", "road.noise=0",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    best, command = result.stdout.splitlines()[-2:]
    assert best.startswith("best: ")
    words = command.split()
    assert words[:2] == ["camviz", "heatmap"]
    assert words[2] == str(images)
    assert words[words.index("--target") + 1] == "2"
    assert "--set" not in words
    method, layer = words[words.index("--method") + 1], words[words.index("--layer") + 1]
    assert best == f"best: {method} at {layer}" + best[best.index(",") :]
    assert run(*words[1:], "--output", tmp_path / "drawn").exit_code == 0


def test_rank_looks_at_several_methods_and_layers_by_itself(evaluate, images):
    result = evaluate(next(images.iterdir()), "--rank", "--forwards", "4", "--metric", "average-drop", "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert {"gradcam", "layercam", "eigencam"} <= {one["method"] for one in found}
    assert len({one["layer"] for one in found if not one["baseline"]}) > 1
    assert sorted(one["place"] for one in found if "place" in one) == list(
        range(1, 1 + sum("place" in o for o in found))
    )
    assert "best: " in result.stderr


def test_boxes_from_coco(evaluate, images, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("ant\nbee\ncat\ndog\n")
    content = {
        "images": [{"id": 1, "file_name": "0.png", "width": 40, "height": 32}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 40, 32]}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    result = evaluate(
        images, "--boxes", tmp_path / "boxes.json", "--labels", labels, "--target", "cat", "--metric", "pointing",
        "--json",
    )  # fmt: skip
    found = json.loads(result.stdout.splitlines()[0])
    assert found["pointing"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "images": 1}
    assert "1 of 2 targets" in result.stderr


def test_one_bad_image_does_not_stop_the_others(evaluate, images, tmp_path):
    (images / "bad.png").write_bytes(b"nothing")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "masks" / "1.png")
    result = evaluate(images, "--masks", tmp_path / "masks", "--metric", "sparsity,energy", "--json")
    assert result.exit_code == 1
    assert "bad.png" in result.stderr
    assert "9×9" in result.stderr
    assert json.loads(result.stdout.splitlines()[0])["sparsity"]["images"] == 1


def test_nothing_works(evaluate, tmp_path):
    result = evaluate(tmp_path / "none.png", *QUICK[2:])
    assert (result.exit_code, result.stdout) == (1, "")


def test_the_bundled_samples_have_truth(run):
    result = run("evaluate", "--metric", "pointing", "--json", "-q")
    found = json.loads(result.stdout.splitlines()[0])
    assert found["pointing"]["images"] == 10
    assert result.stderr == ""


def test_list(run):
    assert {line.split()[0] for line in run("evaluate", "--list").stdout.splitlines()[1:]} == set(METRICS.names())
    found = [json.loads(line) for line in run("evaluate", "--list", "--json").stdout.splitlines()]
    assert {one["name"] for one in found} == set(METRICS.names())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--metric", "raod"], "no metric 'raod'"),
        (["--metric", "pointing"], "localization"),
        (["--boxes", "none.xml"], "no file or folder 'none.xml'"),
        (["--boxes", "a", "--masks", "b"], "--boxes and --masks"),
        (["--mask-value", "3"], "--mask-value '3'"),
        (["--set", "pointing.tolerance=far", "--metric", "all"], "number"),
        (["--method", "gradcan"], "no method 'gradcan'"),
        (["--forwards", "1"], "1"),
        (["--set", "insertion.start=gray", "--metric", "insertion"], "'gray'"),
    ],
)
def test_refusals(evaluate, images, refused, arguments, words):
    refused(evaluate(images, "-q", *arguments), words)


@pytest.mark.parametrize("arguments", [["--metric", "raod"], ["--list"], ["--boxes", "none.xml"], ["--help"]])
def test_a_wrong_request_does_not_import_torch(fresh, arguments):
    import sys

    code = "import sys; from camviz.cli.app import app; app(sys.argv[1:], standalone_mode=False); "
    code += "assert not {'torch', 'cv2', 'torchvision'} & set(sys.modules)"
    import subprocess

    assert subprocess.run([sys.executable, "-c", code, "evaluate", *arguments], check=False).returncode == 0


def test_what_was_chosen_where_nobody_asked_is_told(run, images, tmp_path):
    """A segmenter is explained by another method than a classifier."""
    (tmp_path / "segmenter.py").write_text(
        "from torch import nn\n\n\ndef net():\n    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), "
        "nn.Conv2d(4, 3, 1), nn.Upsample(scale_factor=2))\n"
    )
    model = ("-m", f"{tmp_path / 'segmenter.py'}:net", "--input-size", 32)
    result = run("evaluate", images, *model, "--metric", "sparsity", "--resamples", "100")
    assert result.exit_code == 0, result.output
    assert "method: hirescam" in result.stderr
