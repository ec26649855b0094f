"""Facts of the model that several checks read, and commands that keep what was typed."""

from __future__ import annotations

import torch

import camviz
from camviz.doctor.examination import Examination, plain, probabilities, spread_out
from camviz.types import Image
from tests.helpers.sick_models import photos


def test_the_command_keeps_everything_that_was_typed(demo):
    request = camviz.types.ModelRequest(
        "net.py:Net", checkpoint="my file.pth", mean=(0.5,), std=(0.25,), task="classification"
    )
    job = camviz.types.Request(
        request, targets=("cat", "dog"), methods=("layercam",), fit="squash", settings=(("a", "1"),)
    )
    typed = Examination(demo, job, [Image(photos(1)[0])]).command("--mean 0,0,0")
    for words in (
        "-m net.py:Net",
        "--checkpoint 'my file.pth'",
        "--std 0.25",
        "--target cat --target dog",
        "--set a=1",
    ):
        assert words in typed
    assert typed.count("--mean") == 1


def test_what_mends_it_can_be_typed(run, net_file, tmp_path):
    """The model as it was typed, and no weights asked for that are there already."""
    (tmp_path / "my names.txt").write_text("a\nb\nc\nd\n")
    spec, labels = f"{net_file}:Net", tmp_path / "my names.txt"
    told = run("doctor", "-m", spec, "--input-size", 32, "--labels", labels).stdout
    assert f"camviz heatmap IMAGES -m {spec} --labels '{labels}' --input-size 32x32 --checkpoint FILE" in told
    told = run("doctor", "--weights", "none").stdout
    assert "camviz heatmap IMAGES --weights default, or --checkpoint FILE" in told


def test_probabilities_are_recognized_by_their_sums():
    scores = torch.tensor([[4.0, 0, -2], [0, 1, 5]])
    assert probabilities(scores) == ""
    assert probabilities(scores.softmax(1)) == "softmax"
    assert probabilities(scores.log_softmax(1)) == "log_softmax"
    assert probabilities(scores.sigmoid()) == "sigmoid"
    assert probabilities(0.3 + scores / 100) == "", "numbers between 0 and 1 that are close together"
    assert probabilities(scores[:, :1].sigmoid()) == ""
    assert probabilities(scores / 0) == ""


def test_a_plain_name_has_no_signs_and_no_wordnet_number():
    assert plain("n02123045_Tabby-cat (1)") == "tabby cat 1"
    assert plain("n021230456") == "n021230456"


def test_the_images_are_from_all_over_a_folder():
    ordered = spread_out(list(range(1000)), 32)
    assert sorted(ordered) == list(range(1000))
    assert {number // 250 for number in ordered[:16]} == {0, 1, 2, 3}
    assert max(ordered[:32]) == 999
    assert spread_out(list(range(1000)), 32) == ordered
    assert sorted(spread_out([3, 4], 32)) == [3, 4]
