"""`camviz filters`: figures without images, and refusals."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def filters(run, net_file, tmp_path):
    def invoke(*arguments: object):
        return run("filters", "-m", f"{net_file}:Net", "--input-size", 32, "-o", tmp_path / "out", *arguments)

    return invoke


def test_the_first_convolution_needs_no_image(filters, tmp_path, written):
    result = filters("--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["path"] == str(tmp_path / "out" / "filters" / "net_Net_features.0.png")
    assert (facts["layer"], facts["drawn"], facts["shape"]) == ("features.0", "rgb", [8, 3, 3, 3])
    assert facts["norms"] == sorted(facts["norms"], reverse=True)
    assert len(facts["channels"]) == 8
    assert "layer: features.0 of net:Net" in result.stderr
    assert written() == ["filters/net_Net_features.0.png"]


def test_the_bundled_model_when_nothing_is_said(run, tmp_path):
    result = run("filters", "-o", tmp_path / "out", "-q")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'out' / 'filters' / 'demo_features.0.0.png'}\n"
    assert result.stderr == ""


def test_several_layers_and_other_inputs(filters, written):
    assert filters("-l", "features.*", "--model-args", "channels=4", "--format", "jpg", "-q").exit_code == 0
    assert written() == ["filters/net_Net_features.0.jpg", "filters/net_Net_features.2.jpg"]
    assert filters("--model-args", "channels=1", "--scale", "kernel", "--colormap", "blue-black-red").exit_code == 0


def test_kernels_asked_for(filters):
    asked = filters("--channel", "5,0-1", "--json")
    assert json.loads(asked.stdout)["channels"] == [5, 0, 1]
    assert len(json.loads(filters("-l", "features.2", "--top", 3, "--json").stdout)["channels"]) == 3


def test_positions(run, tmp_path):
    arguments = ("-m", "vit_b_32", "--weights", "none", "--position", "-o", tmp_path / "out", "--json")
    facts = json.loads(run("filters", *arguments).stdout)
    assert facts["path"].endswith("filters/vit_b_32_encoder.pos_embedding.png")
    assert facts["grid"] == [7, 7]


@pytest.mark.parametrize(
    ("options", "quoted"),
    [
        (["-l", "fc"], ["layer 'fc' of net:Net is a Linear", "--layer features.2"]),
        (["-l", "features"], ["layer 'features' of net:Net is a Sequential", "--layer features.0"]),
        (["-l", "featurs.0"], ["no layer 'featurs.0'", "did you mean 'features.0'"]),
        (["--channel", "8"], ["no channel '8' in layer 'features.0'", "0 to 7"]),
        (["--channel", "x"], ["'x' is not a channel", "3,17,40-60"]),
        (["--channel", "5-2"], ["'5-2'", "2-5"]),
        (["--top", "9"], ["--top 9 is more than the 8 kernels", "--top 8"]),
        (["--top", "-1"], ["'-1'", "--top"]),
        (["--position"], ["net:Net has no learned position embedding"]),
        (["--format", "bmp"], ["no format 'bmp'"]),
        (["--colormap", "coolwarmm"], ["did you mean 'coolwarm'"]),
        (["--scale", "run"], ["'run'", "'layer'"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("-") else "",
)
def test_refusals(filters, refused, written, options, quoted):
    refused(filters("-q", *options), *quoted)
    assert written() == []
