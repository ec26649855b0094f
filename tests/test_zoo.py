"""Networks of every kind, untrained, through the command's own path.

CAMVIZ_ZOO=FILE makes the slow tests add a row for each network to a Markdown table in that file.
"""

from __future__ import annotations

import gc
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import models

import camviz
from camviz.errors import NetworkError
from camviz.models.catalogue import classifiers, listings
from camviz.types import Model
from tests.engine.test_capture import hook_count, state_of
from tests.small_transformers import CLASSIFIERS, configuration

HANDFUL = ["squeezenet1_1", "mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_5", "swin_t", "vit_b_32", "googlenet"]
REST = [name for name in classifiers() if name not in HANDFUL]
REFUSED = {"quantized classification": "integers", "optical flow": "two pictures"}

HF_HANDFUL = ["ViT", "ResNet", "Dinov2WithRegisters"]
TIMM_HANDFUL = ["resnet18", "vit_tiny_patch16_224", "levit_128s", "mobilevit_xxs"]
TIMM = """
    beit_base_patch16_224 cait_xxs24_224 coat_tiny coatnet_nano_rw_224 convit_tiny convnext_atto crossvit_tiny_240
    davit_tiny deit3_small_patch16_224 deit_tiny_distilled_patch16_224 densenet121 edgenext_xx_small efficientformer_l1
    efficientnet_lite0 efficientvit_b0 efficientvit_m0 eva02_tiny_patch14_224 fastvit_t8 focalnet_tiny_srf gcvit_xxtiny
    ghostnet_050 hiera_tiny_224 hrnet_w18_small inception_v3 legacy_xception maxvit_rmlp_pico_rw_256 mixer_s32_224
    mobilenetv4_conv_small mvitv2_tiny nextvit_small nfnet_l0 pit_ti_224 poolformer_s12 pvt_v2_b0 regnety_002
    repvgg_a0 repvit_m0_9 resmlp_12_224 resnest14d sequencer2d_s swinv2_tiny_window8_256 tiny_vit_5m_224
    tnt_s_patch16_224 twins_pcpvt_small twins_svt_small vit_base_patch16_siglip_224 vit_small_patch14_reg4_dinov2
    volo_d1_224 xcit_nano_12_p16_224
""".split()  # noqa: SIM905


WHY_NOT = {  # what does not work, and why: no claim is made for these
    "coat_tiny": "keeps a tensor of the first forward, which was on another device",
    "convit_tiny": "its blocks are not known as attention, and behind the last one the patches have no gradient",
    "mvitv2_tiny": "the default layer gives one row per head, not per picture",
    "pit_ti_224": "the default layer gives patches and class token apart, and only the token counts",
    "tnt_s_patch16_224": "the default layer gives one row per patch, not per picture",
    "Swin": "the default layer is a table of position biases",
    "MobileNetV1": "the default layer gives maps and their mean together, and only the mean counts",
    "Cvt": "the default layer gives maps and class token together, and only the token counts",
}


@dataclass(frozen=True)
class Seen:
    """What one network gave: the default layer, its grid, and how long loading and explaining took."""

    layer: str
    grid: tuple[int, int]
    seconds: float


def known(names: list[str], quick: list[str]) -> list:
    """The names as parameters: all but the quick ones slow, what is known not to work expected to fail."""
    marks = {name: [] if name in quick else [pytest.mark.slow] for name in (*quick, *names)}
    for name in WHY_NOT.keys() & marks.keys():
        marks[name].append(pytest.mark.xfail(reason=WHY_NOT[name], strict=True))
    return [pytest.param(name, marks=own) for name, own in marks.items()]


def tell(name: str, library: str, outcome: str, detail: str = "") -> None:
    """A row of the table, where one is asked for."""
    place = os.environ.get("CAMVIZ_ZOO")
    if not place:
        return
    with Path(place).open("a", encoding="utf-8") as file:
        if not file.tell():
            file.write("| library | network | outcome | default layer, grid |\n|---|---|---|---|\n")
        file.write(f"| {library} | {name} | {outcome} | {detail} |\n")


def look(name: str, library: str, load, image, **question) -> Seen:
    """Explain a picture with a network; the map must be right, and the network as it was."""
    try:
        seen = _look(load, image, question)
    except BaseException as error:
        tell(name, library, "no: " + str(error).partition("\n")[0].replace("|", "/")[:200])
        raise
    tell(name, library, "works", f"`{seen.layer}`, {seen.grid[0]}×{seen.grid[1]}")
    return seen


def _look(load, image, question) -> Seen:
    torch.manual_seed(0)
    start = time.perf_counter()
    model: Model = load()
    liven(model.module)
    before = state_of(model.module)
    [found] = camviz.explain(model, image, **question)
    assert np.isfinite(found.values).all(), "the map is not finite"
    assert np.abs(found.values).max() > 0, f"no gradient at the default layer '{found.layer}'"
    assert min(found.values.shape) >= 4, f"a grid of {found.values.shape} at '{found.layer}'"
    assert found.overlay().size == (300, 200)
    assert hook_count(model.module) == 0
    assert state_of(model.module) == before
    seen = Seen(found.layer, found.values.shape, time.perf_counter() - start)
    del model
    gc.collect()
    return seen


def liven(network: torch.nn.Module) -> None:
    """Untrained networks start with heads, and some with whole branches, at zero, and so would every map."""
    heads = [part for part in network.modules() if isinstance(part, torch.nn.Linear)]
    for part in heads:
        if not part.weight.any():
            torch.nn.init.normal_(part.weight, std=0.02)


def redraw(network: torch.nn.Module) -> None:
    """transformers draws all weights so small that nothing is left of a picture behind a few convolutions."""
    for part in network.modules():
        if isinstance(part, (torch.nn.Linear, torch.nn.Conv2d)):
            torch.nn.init.kaiming_normal_(part.weight)


@pytest.mark.parametrize("name", [*HANDFUL, *(pytest.param(name, marks=pytest.mark.slow) for name in REST)])
def test_a_heatmap_of_every_classifier(name, pixels):
    look(name, "torchvision", lambda: camviz.load(name, weights="none"), pixels(300, 200))


@pytest.mark.parametrize("name", [name for name, one in listings().items() if one.task in REFUSED])
def test_what_takes_no_picture_says_so(name):
    with pytest.raises(NetworkError, match=REFUSED[listings()[name].task]) as caught:
        camviz.load(name, weights="none")
    tell(name, "torchvision", f"no: {caught.value.message}")


def test_every_model_of_torchvision_is_one_or_the_other():
    tasks = {"classification", "segmentation", "detection", "video classification", *REFUSED}
    assert {name for name, one in listings().items() if one.task in tasks} == set(models.list_models())


@pytest.mark.parametrize("name", known(TIMM, TIMM_HANDFUL))
def test_a_heatmap_of_timms_architectures(name, pixels, picture, tmp_path):
    pytest.importorskip("timm", reason="timm is not installed")
    from camviz.models.timm_names import architectures, task_of

    [default] = architectures()[name].configurations[:1]
    embeds = task_of(name, 1000 if default.classes is None else default.classes) == "embedding"
    question = {"target": f"similar:{picture(tmp_path / 'other.png', 64, 64, 1)}"} if embeds else {}
    look(name, "timm", lambda: camviz.load(f"timm:{name}", weights="none"), pixels(300, 200), **question)


@pytest.mark.parametrize("name", known(list(CLASSIFIERS), HF_HANDFUL))
def test_a_heatmap_of_transformers_architectures(name, pixels, tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    architecture = f"{name}ForImageClassification"
    configuration(architecture).save_pretrained(tmp_path)

    def load() -> Model:
        model = camviz.load(f"hf:{tmp_path}", weights="none")
        redraw(model.module)
        return model

    look(architecture, "transformers", load, pixels(300, 200))
