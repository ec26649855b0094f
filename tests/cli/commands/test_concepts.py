"""`camviz concepts`: one figure of a folder, and refusals."""

from __future__ import annotations

import json

import pytest
from PIL import Image


@pytest.fixture
def concepts(run, net_file, tmp_path, write_image):
    for number in range(5):
        write_image(tmp_path / "pics" / f"{number}.png", 60, 40, number)

    def invoke(*arguments: object):
        fixed = ["-m", f"{net_file}:Net", "--input-size", 32, "-o", tmp_path / "out"]
        return run("concepts", tmp_path / "pics", *fixed, *arguments)

    return invoke


def test_one_figure_and_its_facts(concepts, tmp_path, written):
    result = concepts("-l", "features.3", "-t", 1, "--concepts", 3, "--top", 2, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert written() == ["concepts/net_Net_features.3_1.png"]
    assert (facts["index"], facts["of"], facts["crops"]) == (1, 5, 16 * facts["images"])
    importance = [each["importance"] for each in facts["concepts"]]
    assert [each["mean"] for each in importance] == sorted([each["mean"] for each in importance], reverse=True)
    for each in facts["concepts"]:
        assert each["importance"]["low"] <= each["importance"]["mean"] <= each["importance"]["high"]
        assert len({patch["input"] for patch in each["patches"]}) == len(each["patches"]) <= 2
        for left, top, right, bottom in (patch["box"] for patch in each["patches"]):
            assert 10 <= left < right <= 50, "the model sees the middle 40 of 60 columns"
            assert 0 <= top < bottom <= 40
            assert right - left == pytest.approx(0.3 * 40, abs=1.5)
    assert Image.open(facts["path"]).size[0] > 800


def test_without_a_class_the_one_predicted_most_often(concepts, written):
    facts = json.loads(concepts("--json", "--concepts", 2).stdout)
    assert written() == ["concepts/net_Net_features.3.png"]
    assert facts["images"] > facts["of"] / 4  # of four classes


def test_a_figure_for_a_paper(concepts, written):
    assert concepts("-t", 1, "--format", "pdf", "--concepts", 2).exit_code == 0
    assert written() == ["concepts/net_Net_features.3_1.pdf"]


@pytest.mark.parametrize(
    ("options", "quoted"),
    [
        (["-t", "1", "-t", "2"], ["2 targets"]),
        (["-t", "9"], ["9"]),
        (["-l", "features.1,features.3"], ["2 layers", "--layer features.1"]),
        (["--concepts", "0"], ["'0'", "--concepts"]),
        (["--format", "gif"], ["no format 'gif'"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("-") else "",
)
def test_refusals(concepts, refused, written, options, quoted):
    refused(concepts("-q", *options), *quoted)
    assert written() == []


def test_a_detector_has_no_such_score(run, tmp_path, refused):
    (tmp_path / "nets.py").write_text("from tests.helpers.dense import make\ndef detector():\n    return make('ssd')\n")
    refused(run("concepts", "-m", f"{tmp_path / 'nets.py'}:detector", "-o", tmp_path / "out", "-q"), "whole image")
