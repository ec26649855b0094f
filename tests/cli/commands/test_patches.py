"""`camviz patches`: one figure for a folder, and refusals."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def patches(run, net_file, tmp_path):
    def invoke(*arguments: object):
        fixed = ["-m", f"{net_file}:Net", "--input-size", 32, "-o", tmp_path / "out"]
        return run("patches", *fixed, *arguments)

    return invoke


@pytest.fixture
def folder(tmp_path, write_image):
    for number in range(5):
        write_image(tmp_path / "pics" / f"{number}.png", 60, 40, number)
    return tmp_path / "pics"


def test_one_figure_and_its_facts(patches, folder, tmp_path, written):
    result = patches(folder, "-l", "features.1", "--channel", "3,0-1", "--top", 4, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert written() == ["patches/net_Net_features.1.png"]
    assert facts["field"] == {"kind": "theoretical", "size": [3.0, 3.0]}
    assert [one["channel"] for one in facts["channels"]] == [3, 0, 1]
    for one in facts["channels"]:
        assert len({patch["input"] for patch in one["patches"]}) == len(one["patches"]) <= 4
        activations = [patch["activation"] for patch in one["patches"]]
        assert activations == sorted(activations, reverse=True)
        for left, top, right, bottom in (patch["box"] for patch in one["patches"]):
            assert 10 <= left < right <= 50, "the model sees the middle 40 of 60 columns"
            assert 0 <= top < bottom <= 40
    assert "5 images, 1 file" in result.stderr
    assert "--top" not in result.stderr


def test_the_strongest_channels_when_none_is_asked_for(patches, folder):
    result = patches(folder, "-l", "features.2", "--top", 2, "--json")
    energies = [one["energy"] for one in json.loads(result.stdout)["channels"]]
    assert len(energies) == 12
    assert energies == sorted(energies, reverse=True)
    result = patches(folder, "-l", "features.2", "--top", 2, "--rank", "peak", "--json")
    peaks = [one["patches"][0]["activation"] for one in json.loads(result.stdout)["channels"]]
    assert peaks == sorted(peaks, reverse=True)


def test_a_folder_with_fewer_images_is_said(patches, folder):
    result = patches(folder, "--top", 9)
    assert result.exit_code == 0
    assert "note: 5 image(s) for --top 9" in result.stderr


def test_a_bad_file_is_passed_over(patches, folder, written):
    (folder / "bad.png").write_text("no image")
    result = patches(folder, "--json")
    assert result.exit_code == 1
    assert "bad.png' is not an image" in result.stderr
    assert json.loads(result.stdout)["images"] == 5


def test_the_bundled_samples_and_the_effective_field(run, tmp_path):
    result = run("patches", "-o", tmp_path / "out", "--json", "--top", 3)
    facts = json.loads(result.stdout)
    assert facts["path"].endswith("patches/demo_features.4.png")
    assert facts["field"]["kind"] == "effective"
    assert 40 < facts["field"]["size"][0] < 128


@pytest.mark.parametrize(
    ("options", "quoted"),
    [
        (["-l", "fc"], ["layer 'fc'", "no grid"]),
        (["-l", "featurs"], ["no layer 'featurs'", "did you mean 'features'"]),
        (["-l", "features.0", "--channel", "3,8"], ["no channel '8' in layer 'features.0'", "0 to 7"]),
        (["--channel", "3..5"], ["'3..5' is not a channel"]),
        (["--top", "0"], ["'0'", "--top"]),
        (["--rank", "index"], ["'index'", "'energy'"]),
        (["--format", "gif"], ["no format 'gif'"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("-") else "",
)
def test_refusals(patches, folder, refused, written, options, quoted):
    refused(patches(folder, "-q", *options), *quoted)
    assert written() == []


def test_more_channels_than_a_figure_holds(run, folder, tmp_path, refused):
    arguments = ("-m", "resnet18", "--weights", "none", "--channel", "0-300", "-o", tmp_path / "out", "-q")
    refused(run("patches", folder, *arguments), "301 channels are more than one figure holds", "200")


def test_an_empty_folder(patches, tmp_path, refused):
    (tmp_path / "none").mkdir()
    refused(patches(tmp_path / "none", "-q"), "no images in folder", status=1)
