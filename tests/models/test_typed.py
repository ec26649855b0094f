"""Commands in hints name the model as it was typed, and work."""

import re
import shlex

import pytest

from camviz.models.typed import typed_model
from camviz.types import ModelRequest


def test_what_is_not_a_default_is_typed_again():
    request = ModelRequest("my net.py:Net", checkpoint="a.pth", input_size=(64, 32), mean=(0.5,), allow_pickle=True)
    words = "--checkpoint a.pth --input-size 64x32 --mean 0.5 --allow-pickle"
    assert typed_model(request) == f"'my net.py:Net' {words}"
    assert typed_model(ModelRequest("resnet50")) == "resnet50"


@pytest.mark.parametrize("command", ["heatmap", "features", "compare", "patches"])
def test_the_listing_that_an_unknown_layer_names_works(run, net_file, write_image, tmp_path, command):
    image = write_image(tmp_path / "a.png")
    models = ["-m", f"{net_file}:Net"] * (2 if command == "compare" else 1)
    refused = run(command, image, *models, "--input-size", 32, "-l", "nope", "-o", tmp_path / "out")
    assert refused.exit_code == 2
    [line] = re.findall(r"'(camviz layers [^']+)'", refused.stderr)
    listing = run(*shlex.split(line)[1:])
    assert listing.exit_code == 0, listing.stderr
    assert "features.3" in listing.stdout
