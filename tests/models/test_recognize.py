"""The architecture of a file of weights, from its tensors alone."""

from __future__ import annotations

import time

import pytest
import torch
from torchvision import models

import camviz
from camviz.models.cheap_init import without_initialization
from camviz.models.recognize import preferred, recognize, shapes_of
from camviz.models.signatures.table import table
from tests.helpers.weights_files import refusal, saved


def shapes(name: str, **arguments) -> dict[str, tuple[int, ...]]:
    """Of a torchvision model, built without memory."""
    with torch.device("meta"):
        return shapes_of(models.get_model(name, weights=None, **arguments).state_dict())


def best(found) -> str:
    match, _ = preferred(recognize(found))
    return match.spec if match else ""


# the table


# telling apart


CLASSIFIERS = """resnet18 resnet34 resnet50 wide_resnet50_2 resnext50_32x4d resnet101 vgg16 vgg16_bn vgg19 densenet121
densenet169 squeezenet1_0 squeezenet1_1 mobilenet_v2 mobilenet_v3_small swin_t swin_s swin_v2_t convnext_tiny
efficientnet_b0 efficientnet_b1 vit_b_16 vit_b_32 alexnet shufflenet_v2_x0_5 shufflenet_v2_x1_0 mnasnet1_0 maxvit_t"""


@pytest.mark.parametrize("name", CLASSIFIERS.split())
def test_depths_and_widths_are_told_apart(name):
    assert best(shapes(name)) == name
    assert best(shapes(name, num_classes=7)) == name


@pytest.mark.parametrize(
    "name", ["deeplabv3_resnet50", "lraspp_mobilenet_v3_large", "fasterrcnn_resnet50_fpn", "r3d_18"]
)
def test_models_for_other_tasks(name):
    more = {"weights_backbone": None} if "3_" in name or "fpn" in name else {}
    assert best(shapes(name, **more)) == name


def test_classes_channels_and_size_come_from_the_file():
    found = shapes("vit_b_16", num_classes=12, image_size=384)
    found["conv_proj.weight"] = (768, 1, 16, 16)
    [match] = recognize(found)
    assert (match.classes, match.channels, match.size) == (12, 1, 384)
    assert match.arguments == {"image_size": 384}
    [plain] = recognize(shapes("vit_b_16"))
    assert (plain.classes, plain.channels, plain.size, plain.arguments) == (1000, 3, 224, {})


@pytest.mark.parametrize("aux", [True, False])
def test_auxiliary_heads(aux):
    found = shapes("googlenet", init_weights=False, aux_logits=aux)
    assert preferred(recognize(found))[0].arguments == {"aux_logits": aux}


def test_old_files_without_counters():
    found = {key: value for key, value in shapes("resnet18").items() if "num_batches" not in key}
    assert best(found) == "resnet18"


def test_torchvision_is_meant_where_timm_has_the_same_tensors():
    match, others = preferred(recognize(shapes("resnet50")))
    assert match.spec == "resnet50"
    assert {"timm:resnet50", "timm:resnetaa50"} <= {other.spec for other in others}


def test_none():
    found = shapes("resnet18")
    found["layer1.0.conv1.weight"] = (64, 64, 5, 5)
    assert recognize(found) == []


# through load


def test_looking_up_is_quick():
    found = shapes("efficientnet_v2_l")
    table()
    start = time.process_time()
    assert best(found) == "efficientnet_v2_l"
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("fasterrcnn_mobilenet_v3_large_fpn", marks=pytest.mark.slow),
        pytest.param("ssdlite320_mobilenet_v3_large", marks=pytest.mark.slow),
        "lraspp_mobilenet_v3_large",
    ],
)
def test_detectors_and_segmenters_are_built_for_the_classes_of_the_file(tmp_path, name):
    torch.manual_seed(0)
    module = models.get_model(name, weights=None, weights_backbone=None, num_classes=5)
    path = saved(tmp_path, module)
    for model in (camviz.load(name, checkpoint=path), *([] if name.startswith("faster") else [camviz.load(path)])):
        assert (model.labels, model.fitted[0]) == ((), model.fitted[1])
        assert all(torch.equal(value, model.module.state_dict()[key]) for key, value in module.state_dict().items())


# timm


def timms(name: str, **arguments):
    timm = pytest.importorskip("timm", reason="timm is not installed")
    with without_initialization():
        return timm.create_model(name, pretrained=False, **arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("convnext_atto", {"num_classes": 5}),
        ("mobilenetv4_conv_small", {}),
        ("regnety_002", {"num_classes": 3, "in_chans": 1}),
        ("ghostnet_050", {"in_chans": 1}),
        ("deit_tiny_distilled_patch16_224", {"num_classes": 4}),
        ("levit_128s", {"num_classes": 4}),
        ("mixer_s32_224", {}),
        ("edgenext_xx_small", {"num_classes": 3}),
        ("resnet26", {"num_classes": 3}),
        ("eva02_tiny_patch14_224", {}),
        ("vit_tiny_patch16_384", {"num_classes": 3}),
    ],
)
def test_models_of_timm_from_their_file_alone(tmp_path, name, arguments):
    module = timms(name, **arguments).eval()
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    model = camviz.load(saved(tmp_path, module))
    assert model.name == f"timm:{name}"
    assert model.fitted[0] == model.fitted[1]
    assert bool(model.labels) == (module.num_classes == 1000)
    image = torch.rand(1, arguments.get("in_chans", 3), *model.preprocessing.crop)
    assert torch.equal(model.module.eval()(image), module(image))


@pytest.mark.parametrize(
    ("wrap", "note"),
    [
        (lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}, "epoch": 3}, "prefix 'module.' stripped"),
        (lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}}, "prefix 'model.' stripped"),
        (
            lambda s: {"state_dict": s, "state_dict_ema": s},
            "taken from 'state_dict_ema', not from 'state_dict' (--checkpoint-key state_dict)",
        ),
        (lambda s: {"model": {f"backbone.{k}": v for k, v in s.items()}}, "prefix 'backbone.' stripped"),
    ],
)
def test_models_of_timm_in_somebodys_packing(tmp_path, wrap, note):
    model = camviz.load(saved(tmp_path, timms("ghostnet_050", num_classes=7), wrap=wrap))
    assert model.name == "timm:ghostnet_050"
    assert note in model.notes


def test_candidates_of_timm_are_listed_unless_the_file_says_which(tmp_path):
    module = timms("tf_efficientnet_lite0")
    message, hint = refusal(saved(tmp_path, module))
    assert message.endswith("fits 2 architectures: timm:efficientnet_lite0, timm:tf_efficientnet_lite0")
    assert hint == f"type which: --model timm:efficientnet_lite0 --checkpoint {tmp_path / 'my.pth'}"
    model = camviz.load(saved(tmp_path, module, wrap=lambda s: {"arch": "tf_efficientnet_lite0", "state_dict": s}))
    assert model.name == "timm:tf_efficientnet_lite0"
    assert model.notes[0] == "recognized: timm:tf_efficientnet_lite0 (the same tensors fit timm:efficientnet_lite0)"


def test_a_transformer_of_timm_trained_on_images_of_another_size(tmp_path):
    module = timms("vit_tiny_patch16_224", img_size=96, num_classes=3)
    path = saved(tmp_path, module)
    _, hint = refusal(path)
    assert hint == f"type which: --model timm:deit_tiny_patch16_224 --input-size 96 --checkpoint {path}"
    model = camviz.load("timm:vit_tiny_patch16_224", input_size=(96, 96), checkpoint=path)
    assert model.fitted[0] == model.fitted[1]
    assert model.preprocessing.crop == (96, 96)
    path = saved(tmp_path, timms("deit3_small_patch16_224", img_size=96, num_classes=3))
    model = camviz.load(path)
    assert (model.name, model.preprocessing.crop) == ("timm:deit3_small_patch16_224", (96, 96))
    assert model.fitted[0] == model.fitted[1]
    assert model.module(torch.zeros(1, 3, 96, 96)).shape == (1, 3)


def test_another_depth_of_a_transformer_is_for_no_architecture(tmp_path):
    message, hint = refusal(saved(tmp_path, timms("vit_tiny_patch16_224", depth=5)))
    assert "is for no architecture of torchvision or timm (68 tensors, such as patch_embed.proj.weight" in message
    assert hint == f"--model net.py:Net --checkpoint {tmp_path / 'my.pth'}"
