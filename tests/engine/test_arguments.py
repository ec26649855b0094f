"""The arguments of the Python interface: keywords, tensors, batches, datasets, modules as layers."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import camviz
from camviz.engine.arguments import Options
from camviz.errors import CamvizError
from camviz.models.preprocess import prepare
from camviz.types import Image
from tests.helpers.modules import Plain

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return camviz.load(Plain(), input_size=(32, 32), labels=["a", "b", "c", "d"])


@pytest.fixture
def tensors(model):
    """The images as the model's inputs (3, 3, 32, 32)."""
    return torch.stack(
        [torch.from_numpy(prepare(Image(pixels), model.preprocessing, "squash")[0]) for pixels in PIXELS]
    )


@pytest.mark.parametrize("function", [camviz.explain, camviz.compare, camviz.evaluate, camviz.diagnose])
@pytest.mark.parametrize(
    ("keyword", "hint"),
    [
        ("cmap", "colormap"),
        ("class_idx", "target="),
        ("target_layers", "layer="),
        ("use_cuda", "device='cuda'"),
        ("aug_smooth", "smooth='aug'"),
        ("batchsize", "'batch_size'"),
        ("metod", "'method'"),
    ],
)
def test_an_unknown_keyword_names_the_right_one(model, function, keyword, hint):
    arguments = (PIXELS, model) if function is camviz.compare else (model, PIXELS)
    with pytest.raises(CamvizError) as caught:
        function(*arguments, **{keyword: 1})
    assert isinstance(caught.value, TypeError)
    assert f"'{keyword}'" in caught.value.message
    assert hint in caught.value.hint


def test_an_unknown_keyword_of_a_figure_names_the_right_one(model):
    [saliency, *_] = camviz.explain(model, PIXELS)
    with pytest.raises(CamvizError, match="'cmap'") as caught:
        saliency.overlay(cmap="jet")
    assert "colormap" in caught.value.hint


def test_every_option_is_a_typed_keyword_of_a_request():
    assert set(Options.__annotations__) <= {*inspect.signature(camviz.types.Request).parameters}


def test_normalized_tensors_are_the_inputs_of_every_function(model, tensors):
    how = {"target": 1, "fit": "squash"}
    for expected, found in zip(
        camviz.explain(model, PIXELS, **how), camviz.explain(model, tensors, normalized=True, target=1), strict=True
    ):
        np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
    expected = camviz.features(model, list(PIXELS), fit="squash")
    found = camviz.features(model, tensors, normalized=True)
    assert len(found) == 3
    np.testing.assert_allclose(found[2].values, expected[2].values, atol=1e-6)
    pairs = [
        camviz.compare(PIXELS, model, method=["gradcam", "hirescam"], **how),
        camviz.compare(tensors, model, method=["gradcam", "hirescam"], target=1, normalized=True),
    ]
    assert [each.distance for each in pairs[0]] == pytest.approx([each.distance for each in pairs[1]], abs=1e-5)
    measured = {"metric": "deletion", "forwards": 4, "target": 1}
    rows = camviz.evaluate(model, PIXELS, fit="squash", **measured).rows
    again = camviz.evaluate(model, tensors, normalized=True, **measured).rows
    areas = [[row.values["deletion"] for row in each if row.method == "gradcam"] for each in (rows, again)]
    assert areas[0] == pytest.approx(areas[1], abs=1e-4)
    for kind in (list(tensors), tensors.numpy(), DataLoader(tensors, batch_size=2)):
        assert len(camviz.explain(model, kind, normalized=True)) == 3
    with pytest.raises(CamvizError, match="a str is not"):
        camviz.explain(model, "image.png", normalized=True)


class Pairs(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return len(PIXELS)

    def __getitem__(self, index):
        return torch.from_numpy(PIXELS[index]).permute(2, 0, 1).float() / 255, index % 2


@pytest.mark.parametrize("images", [Pairs(), DataLoader(Pairs(), batch_size=2)])
def test_datasets_and_loaders_are_images_for_every_function(model, images):
    assert len(camviz.explain(model, images)) == 3
    assert len(camviz.features(model, images)) == 3
    assert len(camviz.compare(images, model, method=["gradcam", "hirescam"])) == 3
    assert len({row.image for row in camviz.evaluate(model, images, metric="deletion", forwards=4).rows}) == 3


def test_a_module_is_a_layer(model):
    layer: nn.Module = model.module.features[3]
    assert camviz.explain(model, PIXELS[0], layer=layer)[0].layer == "features.3"
    assert camviz.features(model, PIXELS[0], layer=layer).layer == "features.3"
    rows = camviz.evaluate(model, PIXELS[:1], layer=layer, metric="deletion", forwards=4).rows
    assert {row.layer for row in rows} == {"features.3", ""}
    assert camviz.diagnose(model, PIXELS[:1], layer=layer).layer == "features.3"
    assert {
        side.map.layer
        for side in camviz.compare(PIXELS[:1], model, method=["gradcam", "hirescam"], layer=layer)[0].sides
    } == {"features.3"}
    with pytest.raises(CamvizError, match="Conv2d is no layer"):
        camviz.explain(model, PIXELS[0], layer=nn.Conv2d(3, 3, 3))


def test_dir_lists_the_interface():
    assert {"load", "explain", "features", "compare", "evaluate", "diagnose"} <= set(dir(camviz))
    assert set(dir(camviz)) == {*camviz.__all__, "__version__"}


def test_lists_of_maps_display_themselves(model):
    html = camviz.explain(model, PIXELS)._repr_html_()
    assert html.count("<img") == html.count("data:image/png;base64,iVBOR") == 3
