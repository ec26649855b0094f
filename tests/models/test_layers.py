"""Which layer is meant, and which one is taken when nobody said."""

import pytest
import torch
from torch import nn
from torchvision import models as tv

from camviz.errors import ModelError, UnknownName
from camviz.models.layers import find_layers, list_layers
from camviz.models.load import plan
from camviz.models.survey import survey
from camviz.types import Layer, Model, ModelRequest, Preprocessing
from tests.helpers.modules import SIZE, Block, make


def tiny(name: str) -> Model:
    return Model(name, make(name), Preprocessing(crop=(SIZE, SIZE)))


def skeleton(name: str) -> Model:
    return plan(ModelRequest(name)).skeleton()


@pytest.mark.parametrize(
    ("name", "path", "layout"),
    [
        ("plain", "features.4", "plain"),
        ("inplace", "features.4", "plain"),
        ("residual", "block", "plain"),
        ("smooth", "act", "plain"),
        ("channels-last", "norm", "channels_last"),
        ("vit", "encoder.layers.encoder_layer_1.ln_1", "tokens"),
    ],
)
def test_default_layer_of_small_models(name, path, layout):
    [layer] = find_layers(tiny(name), [])
    assert (layer.path, layer.layout) == (path, layout)


EXPECTED = {
    "alexnet": "features.11", "convnext": "features.7", "densenet": "features.norm5", "efficientnet": "features.8",
    "efficientnet_v2_s": "features.7", "googlenet": "inception5b", "inception_v3": "Mixed_7c", "maxvit": "blocks.3",
    "mnasnet": "layers.16", "mobilenet_v2": "features.18", "mobilenet_v3_large": "features.16",
    "mobilenet_v3_small": "features.12", "regnet": "trunk_output.block4", "resnet": "layer4", "resnext": "layer4",
    "wide_resnet": "layer4", "shufflenet": "conv5", "squeezenet": "features.12", "swin": "norm",
    "vgg11": "features.19", "vgg11_bn": "features.27", "vgg13": "features.23", "vgg13_bn": "features.33",
    "vgg16": "features.29", "vgg16_bn": "features.42", "vgg19": "features.35", "vgg19_bn": "features.51",
    "vit_b": "encoder.layers.encoder_layer_11.ln_1", "vit_l": "encoder.layers.encoder_layer_23.ln_1",
    "vit_h": "encoder.layers.encoder_layer_31.ln_1",
}  # fmt: skip


@pytest.mark.parametrize("name", tv.list_models(module=tv))
def test_default_layer_of_every_torchvision_classifier(name):
    family = max((key for key in EXPECTED if name.startswith(key)), key=len)
    [layer] = find_layers(skeleton(name), [])
    assert layer.path == EXPECTED[family]
    assert layer.layout == {"swin": "channels_last", "vit": "tokens"}.get(name.partition("_")[0], "plain")


def test_tokens_become_a_grid_in_reading_order():
    [layer] = find_layers(tiny("vit"), [])
    assert (layer.prefix, layer.patch) == (1, (8, 8))
    tokens = torch.arange(17.0).reshape(1, 17, 1)
    maps = layer.to_maps(tokens, (SIZE, SIZE))
    assert maps[0, 0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]


def test_tokens_of_an_input_that_is_not_square():
    [layer] = find_layers(tiny("vit"), [])
    maps = layer.to_maps(torch.arange(1 + 2 * 3.0).reshape(1, 7, 1), (16, 24))
    assert maps[0, 0].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_channels_last_is_turned():
    [layer] = find_layers(tiny("channels-last"), [])
    output = torch.arange(8.0).reshape(1, 2, 2, 2)
    assert layer.to_maps(output, (SIZE, SIZE))[0, 1].tolist() == [[1, 3], [5, 7]]


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("layer4.-1", ["layer4.1"]),
        ("layer4.1.conv2", ["layer4.1.conv2"]),
        ("layer*", ["layer1", "layer2", "layer3", "layer4"]),
        ("layer[12].0", ["layer1.0", "layer2.0"]),
        ("*.-1.conv1", ["layer1.1.conv1", "layer2.1.conv1", "layer3.1.conv1", "layer4.1.conv1"]),
    ],
)
def test_patterns(pattern, paths):
    assert [layer.path for layer in find_layers(skeleton("resnet18"), [pattern])] == paths


def test_several_patterns_keep_their_order_without_doubles():
    found = find_layers(skeleton("resnet18"), ["layer4", "layer1", "layer*"])
    assert [layer.path for layer in found] == ["layer4", "layer1", "layer2", "layer3"]


def test_a_glob_passes_over_layers_without_a_grid():
    assert [layer.path for layer in find_layers(tiny("residual"), ["*"])][-1] == "pool"


def model_of(module: nn.Module, size: int) -> Model:
    return Model("net", module.eval(), Preprocessing(crop=(size, size)))


def listed(module: nn.Module, size: int) -> dict[str, Layer | None]:
    model = model_of(module, size)
    return {one.path: layer for one, layer in list_layers(model, survey(model.module, (size, size)))}


class Pooled(nn.Module):
    """Blocks in a list, and their mean beside the maps, as transformers' MobileNetV1 gives it."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 4, stride=4)
        self.blocks = nn.ModuleList([nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)])
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return x, self.pool(x).flatten(1)


class Reads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.fc = Pooled(), nn.Linear(6, 4)

    def forward(self, x):
        return self.fc(self.body(x)[1])


def test_maps_beside_which_their_mean_is_given_are_passed_over():
    [layer] = find_layers(model_of(Reads(), SIZE), [])
    assert layer.path == "body.blocks.1"


class Pyramid(nn.Module):
    """A segmenter that sums up its maps in 2×2 cells beside them, and tells classes at the coarse grid."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 6, 4, stride=4)
        self.cells = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Conv2d(6, 6, 1))
        self.mix, self.classes = nn.Conv2d(6, 6, 1), nn.Conv2d(6, 4, 1)

    def forward(self, x):
        x = self.body(x)
        x = self.classes(self.mix(x + nn.functional.interpolate(self.cells(x), x.shape[2:])))
        return nn.functional.interpolate(x, scale_factor=4.0)


def test_summaries_and_scores_of_a_segmenter_are_passed_over():
    model = Model("net", Pyramid().eval(), Preprocessing(crop=(SIZE, SIZE)), task="segmentation")
    [layer] = find_layers(model, [])
    assert layer.path == "mix"


class MaskUnitAttention(Block):
    """Attention within units, as far as a layout can tell."""

    def __init__(self):
        super().__init__(True)


class Units(nn.Module):
    """Hiera's order: the first of every 2×2 patches, then the second …, pooled to one of each."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 12, 8, stride=8)
        self.flat = nn.LayerNorm(12)
        self.first, self.second = nn.Sequential(MaskUnitAttention()), nn.Sequential(MaskUnitAttention())
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        x = self.flat(self.embed(x).flatten(2).mT).unflatten(1, (4, 2, 4, 2))
        x = self.first(x.permute(0, 2, 4, 1, 3, 5).flatten(1, 4))
        return self.head(self.second(x.unflatten(1, (4, 16)).amax(1)).mean(1))


def test_tokens_in_mask_units_are_not_drawn_as_if_they_lay_in_their_places():
    found = listed(Units(), 64)
    assert [path for path in ("flat", "first", "first.0.norm1", "second") if found[path]] == ["flat", "second"]
    with pytest.raises(ModelError, match=r"tokens of layer 'first' of net .*mask units") as caught:
        find_layers(model_of(Units(), 64), ["first"])
    assert caught.value.hint.startswith("--layer second ")


def test_hieras_last_stage_lies_in_reading_order():
    timm = pytest.importorskip("timm", reason="timm is not installed")
    module = timm.create_model("hiera_tiny_224", pretrained=False)
    units = torch.arange(49).reshape(7, 7).repeat_interleave(8, 0).repeat_interleave(8, 1)
    tokens = module.unroll(units.reshape(1, -1, 1))
    for _ in range(module.q_pool):
        tokens = tokens.unflatten(1, (4, -1)).amax(1)  # as its attention pools
    assert tokens.flatten().tolist() == list(range(49))
    found = listed(module, 224)
    assert [path for path in ("blocks.0", "blocks.9", "blocks.10", "blocks.11") if found[path]] == [
        "blocks.10",
        "blocks.11",
    ]


def test_a_layer_that_does_not_exist():
    with pytest.raises(UnknownName) as caught:
        find_layers(skeleton("resnet18"), ["layr4"])
    assert caught.value.message == "no layer 'layr4' in resnet18"
    assert "did you mean 'layer4'" in caught.value.hint
    for pattern in ("layer4.-3", "layer4.7", "features.*"):
        with pytest.raises(UnknownName):
            find_layers(skeleton("resnet18"), [pattern])


def test_a_layer_without_a_grid_names_one_that_has_it():
    with pytest.raises(ModelError) as caught:
        find_layers(skeleton("resnet18"), ["fc"])
    assert "'fc' of resnet18 is 1000: no grid" in caught.value.message
    assert "--layer layer4 " in caught.value.hint


def test_a_layer_that_does_not_run():
    with pytest.raises(ModelError, match="'AuxLogits' does not run in a forward of inception_v3"):
        find_layers(skeleton("inception_v3"), ["AuxLogits"])


def test_a_model_without_any_grid():
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 5), nn.ReLU(), nn.Linear(5, 4))
    with pytest.raises(ModelError, match="grid of more than one cell"):
        find_layers(Model("mlp", module, Preprocessing(crop=(SIZE, SIZE))), [])


def test_list_layers_gives_stride_and_layout():
    model = tiny("plain")
    listed = {one.path: (one, layer) for one, layer in list_layers(model, survey(model.module, (SIZE, SIZE)))}
    assert listed["features.0"][0].shape == (6, 16, 16)
    assert listed["features.0"][0].parameters == 3 * 6 * 9 + 6
    assert listed["fc"][1] is None
