"""The doctor as it is typed: what is wrong, in order, on stdout; bad images on stderr."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from camviz.demo import sample_folder
from camviz.doctor import GRADES
from tests.cli.test_fresh_process import WATCH

STAR = sample_folder() / "star_and_ring.jpg"


def test_an_untrained_model_is_told_the_most_serious_first(run):
    result = run("doctor", STAR, "-m", "demo", "--weights", "none")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("demo, gradcam at ")
    assert ", 1 image: " in lines[0]
    assert lines[2] == "1. serious: the model is untrained [untrained]"
    assert lines[3].startswith("   seen: ")
    assert lines[4].startswith("   try:  ")
    assert result.stderr == ""


def test_json_says_the_same(run):
    asked = ["doctor", STAR, "-m", "demo", "--weights", "none", "--method", "layercam", "--layer", "features.3"]
    [line] = run(*asked, "--json").stdout.splitlines()
    found = json.loads(line)
    assert (found["healthy"], found["images"], found["method"], found["layer"]) == (
        False,
        1,
        "layercam",
        "features.3",
    )
    grades = [one["grade"] for one in found["findings"]]
    assert grades[0] == "serious"
    assert grades == sorted(grades, key=GRADES.index)
    assert found["findings"][0]["name"] == "untrained"
    assert all(one["seen"] and one["evidence"] for one in found["findings"])


def test_with_nothing_given_the_bundled_model_is_healthy(run):
    result = run("doctor")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[0].endswith("10 images: healthy")
    assert "bundled samples" in result.stderr


def test_a_bad_image_is_told_and_the_others_are_looked_at(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.jpg").write_text("words")
    result = run("doctor", "bad.jpg", STAR, "-m", "demo")
    assert result.exit_code == 1
    assert "1 image: healthy" in result.stdout
    assert [line.partition(": ")[0] for line in result.stderr.splitlines()] == ["error", "hint"]
    assert list(tmp_path.iterdir()) == [tmp_path / "bad.jpg"]  # it writes nothing
    alone = run("doctor", "bad.jpg", "-m", "demo")
    assert (alone.exit_code, alone.stdout) == (1, "")


@pytest.mark.parametrize(
    ("options", "quoted"),
    [
        (["--method", "gradcan"], ["gradcan", "did you mean 'gradcam'"]),
        (["--target", "dragon"], ["'dragon'"]),
        (["--model", "resnet51"], ["resnet51", "resnet50"]),
    ],
)
def test_refusals(run, refused, options, quoted):
    refused(run("doctor", STAR, "-m", "demo", *options), *quoted)


def test_a_wrong_request_does_not_import_torch():
    call = [sys.executable, "-c", WATCH, "doctor", str(STAR), "-m", "demo", "-t", "dragon"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1] == "imported:"


def test_random_weights_are_the_untrained_ones_of_none(run):
    told = run("doctor", "--weights", "Random").stdout
    assert told == run("doctor", "--weights", "none").stdout
    assert "--weights default" in told
