"""Requests that can be told apart from what the model is, before or while images are read."""

import numpy as np
import pytest
from PIL import Image

import camviz
from tests.helpers.inputs import model, random_images


def test_class_names_that_are_not_as_many_as_the_classes():
    asked = model("plain", labels=("cat", "dog"))
    with pytest.raises(camviz.CamvizError, match="2 class names for plain, which has 4 classes"):
        camviz.explain(asked, random_images(1))


@pytest.mark.parametrize("target", ["4", "top5", "1 vs 9"])
def test_a_class_beyond_those_of_a_model_without_names_is_refused_before_any_image(target):
    with pytest.raises(camviz.CamvizError, match=r"no class [49] in plain"):
        camviz.explain(model("plain"), [], target=target)


def test_an_image_too_thin_to_resize_fails_alone(heatmap, write_image, tmp_path):
    thin = tmp_path / "thin.png"
    Image.fromarray(np.zeros((1, 60000, 3), np.uint8)).save(thin)
    result = heatmap(thin, write_image(tmp_path / "a.png"))
    assert result.exit_code == 1
    assert "60000×1 is too thin" in result.stderr
    assert len(result.stdout.splitlines()) == 1


def test_a_name_too_long_fails_alone(heatmap, write_image, tmp_path):
    result = heatmap(write_image(tmp_path / ("x" * 251 + ".png")), write_image(tmp_path / "a.png"))
    assert result.exit_code == 1
    assert "too long a name" in result.stderr
    assert len(result.stdout.splitlines()) == 1


def test_the_output_folder_cannot_be_an_input(run, net_file, write_image, refused, tmp_path):
    folder = write_image(tmp_path / "in" / "a.png").parent
    refused(run("heatmap", folder, "-m", f"{net_file}:Net", "-o", folder), "is also an input")
