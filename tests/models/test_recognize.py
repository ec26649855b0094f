"""The architecture of a file of weights, from its tensors alone."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import torch
from torchvision import models

import camviz
from camviz.errors import CheckpointError
from camviz.models.catalog import imagenet_labels
from camviz.models.cheap_init import without_initialization
from camviz.models.recognize import preferred, recognize, shapes_of
from camviz.models.signatures.table import Head, digest_shapes, pack, table
from tools.signatures.make import from_timm, from_torchvision

SOME = ["resnet18", "vit_b_32", "inception_v3", "regnet_y_400mf"]


def shapes(name: str, **arguments) -> dict[str, tuple[int, ...]]:
    """Of a torchvision model, built without memory."""
    with torch.device("meta"):
        return shapes_of(models.get_model(name, weights=None, **arguments).state_dict())


def best(found) -> str:
    match, _ = preferred(recognize(found))
    return match.spec if match else ""


# the table


def test_a_few_rows_made_anew_are_those_of_the_table():
    made = list(from_torchvision(SOME))
    assert len(made) == 5  # inception_v3 with and without its auxiliary head
    for row in made:
        assert row in table().rows


def test_rows_of_timm_made_anew_are_those_of_the_table():
    timm = pytest.importorskip("timm", reason="timm is not installed")
    if timm.__version__ != table().made["timm"]:
        pytest.skip("another timm than the table was made with")
    for row in from_timm(["resnet18", "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"]):
        assert row in table().rows


def test_every_classifier_of_torchvision_is_in_the_table():
    names = {row.name for row in table().rows if row.source == "torchvision"}
    assert set(models.list_models(module=models)) <= names
    assert {name for name in models.list_models() if not name.startswith("quantized_")} == names


def test_the_table_is_small_and_read_quickly_and_without_torch():
    code = (
        "import sys, time; start = time.process_time()\n"
        "from camviz.models.recognize import recognize\n"
        "found = recognize({'a.weight': (3, 3)})\n"
        "print(found, 'torch' in sys.modules, time.process_time() - start < 0.5)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "False", "True"]
    assert len(pack(table().rows, table().made)) < 300_000


def test_packing_is_repeatable():
    assert pack(table().rows, table().made) == pack(reversed(table().rows), table().made)


def test_a_digest_leaves_out_what_may_vary():
    head, inputs = Head(("fc.weight",), "fc.weight"), ("conv.weight",)
    one = {"conv.weight": (8, 3, 3, 3), "bn.num_batches_tracked": (), "fc.weight": (10, 8)}
    other = {"fc.weight": (5, 8), "conv.weight": (8, 1, 3, 3)}
    assert digest_shapes(one, head, inputs) == digest_shapes(other, head, inputs)
    assert digest_shapes(one, head, ()) != digest_shapes(other, head, ())
    assert digest_shapes(one, head, inputs) != digest_shapes(other | {"conv.weight": (8, 3, 5, 5)}, head, inputs)


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


def saved(tmp_path, module, name="my.pth", wrap=lambda state: state):
    torch.save(wrap(module.state_dict()), tmp_path / name)
    return tmp_path / name


def test_a_file_alone_is_enough(tmp_path):
    torch.manual_seed(0)
    module = models.squeezenet1_1().eval()
    path = saved(tmp_path, module, wrap=lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}})
    model = camviz.load(path)
    assert (model.name, model.labels) == ("squeezenet1_1", imagenet_labels())
    assert model.notes[0] == "recognized: squeezenet1_1"
    assert "prefix 'module.' stripped" in model.notes
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(model.module(image), module(image))


def test_a_lightning_file_alone(tmp_path):
    module = models.squeezenet1_1(num_classes=5)
    path = saved(tmp_path, module, "a.ckpt", lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}})
    model = camviz.load(path)
    assert model.labels == ()
    assert model.module(torch.zeros(1, 3, 64, 64)).shape == (1, 5)
    assert "prefix 'model.' stripped" in model.notes


def test_other_classes_and_channels(tmp_path):
    module = models.resnet18(num_classes=5)
    module.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    model = camviz.load(saved(tmp_path, module.eval()))
    image = torch.rand(1, 1, 64, 64)
    assert torch.equal(model.module(image), module(image))
    assert (model.labels, model.preprocessing.mean) == ((), (0.0,))
    assert "'conv1' takes 1 channel(s) instead of 3" in model.notes


def test_a_vit_of_another_size_is_shown_images_of_that_size(tmp_path):
    with without_initialization():
        module = models.vit_b_32(image_size=64)
    model = camviz.load(saved(tmp_path, module))
    assert model.preprocessing.crop == (64, 64)
    assert model.module(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


def refusal(path):
    with pytest.raises(CheckpointError) as caught:
        camviz.load(path)
    assert f"'{path}'" in caught.value.message
    return caught.value.message, caught.value.hint


def test_several_candidates_are_listed(tmp_path):
    module = models.get_model("fasterrcnn_mobilenet_v3_large_fpn", weights=None, weights_backbone=None)
    message, hint = refusal(saved(tmp_path, module))
    names = "fasterrcnn_mobilenet_v3_large_320_fpn, fasterrcnn_mobilenet_v3_large_fpn"
    assert f"fits 2 architectures: {names}" in message
    assert f"--checkpoint {tmp_path / 'my.pth'}" in hint


def test_no_architecture(tmp_path, net):
    message, hint = refusal(saved(tmp_path, net()))
    assert "for no architecture of torchvision or timm (6 tensors, such as features.0.weight 8×3×3×3)" in message
    assert hint == f"--model net.py:Net --checkpoint {tmp_path / 'my.pth'}"


def test_another_width(tmp_path):
    message, _ = refusal(saved(tmp_path, models.mobilenet_v2(width_mult=0.5)))
    assert "has the tensors of mobilenet_v2 by name, but in other shapes" in message


def test_a_body_without_its_head(tmp_path):
    module = models.resnet18()
    module.fc = torch.nn.Identity()
    message, hint = refusal(saved(tmp_path, module))
    assert "has the body of resnet18, timm:resnet18, timm:resnetblur18 and no head" in message
    assert "--checkpoint" in hint


def test_fully_connected_layers_draw_no_map(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(784, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10))
    message, hint = refusal(saved(tmp_path, module, "mlp.tar"))
    assert "holds fully connected layers only" in message
    assert "nothing in it to draw a map from" in message
    assert "--method gradient" in hint


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
