"""Requests that can be told apart from what the network is, before or while pictures are read."""

import numpy as np
import pytest
from PIL import Image

import camviz
from tests.engine.test_explain import model, pictures


def test_class_names_that_are_not_as_many_as_the_classes():
    asked = model("plain", labels=("cat", "dog"))
    with pytest.raises(camviz.CamvizError, match="2 class names for plain, which has 4 classes"):
        camviz.explain(asked, pictures(1))


@pytest.mark.parametrize("target", ["4", "top5", "1 vs 9"])
def test_a_class_beyond_those_of_a_network_without_names_is_refused_before_any_picture(target):
    with pytest.raises(camviz.CamvizError, match=r"no class [49] in plain"):
        camviz.explain(model("plain"), [], target=target)


def test_a_picture_too_thin_to_resize_fails_alone(heatmap, picture, tmp_path):
    thin = tmp_path / "thin.png"
    Image.fromarray(np.zeros((1, 60000, 3), np.uint8)).save(thin)
    result = heatmap(thin, picture(tmp_path / "a.png"))
    assert result.exit_code == 1
    assert "60000×1 is too thin" in result.stderr
    assert len(result.stdout.splitlines()) == 1


def test_a_name_too_long_fails_alone(heatmap, picture, tmp_path):
    result = heatmap(picture(tmp_path / ("x" * 251 + ".png")), picture(tmp_path / "a.png"))
    assert result.exit_code == 1
    assert "too long a name" in result.stderr
    assert len(result.stdout.splitlines()) == 1


def test_the_output_folder_cannot_be_an_input(run, net_file, picture, refused, tmp_path):
    folder = picture(tmp_path / "in" / "a.png").parent
    refused(run("heatmap", folder, "-m", f"{net_file}:Net", "-o", folder), "is also an input")
