"""Models of every kind, untrained, through the command's own path.

CAMVIZ_ZOO=FILE makes the slow tests add a row for each model to a Markdown table in that file.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import models

import camviz
from camviz.errors import InputError, ModelError
from camviz.models.catalog import classifiers, listings
from camviz.types import Model, SaliencyMap
from tests.helpers.small_transformers import CLASSIFIERS, DETECTORS, SEGMENTERS, configuration
from tests.helpers.state import hook_count, state_of

HANDFUL = ["squeezenet1_1", "mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_5", "swin_t", "vit_b_32", "googlenet"]
REST = [name for name in classifiers() if name not in HANDFUL]
REFUSED = {"quantized classification": "integers", "optical flow": "two images"}

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


def known(names: list[str], quick: list[str]) -> list:
    """The names as parameters, all but the quick ones slow."""
    return [*quick, *(pytest.param(name, marks=pytest.mark.slow) for name in names if name not in quick)]


def tell(name: str, kind: str, outcome: str, detail: str = "") -> None:
    """A row of the table, where one is asked for: below the summary, in place of an earlier one of the model."""
    place = os.environ.get("CAMVIZ_ZOO")
    if not place:
        return
    text = Path(place).read_text("utf-8") if Path(place).is_file() else ""
    lines = [line.strip("| ").split(" | ") for line in text.partition("\n\n")[2].splitlines()[2:]]
    rows = {(line[0], line[1]): line for line in lines}
    rows[kind, name] = [kind, name, outcome.replace("|", "/"), detail or "–"]
    counts = {one: [row[2] == "works" for row in rows.values() if row[0] == one] for one, _ in rows}
    head = ["| models | work | of |", "|---|---|---|"]
    head += [f"| {one} | {sum(works)} | {len(works)} |" for one, works in counts.items()]
    head += ["", "| models | name | outcome | default layer, grid |", "|---|---|---|---|"]
    body = [f"| {' | '.join(row)} |" for row in sorted(rows.values(), key=lambda row: list(counts).index(row[0]))]
    Path(place).write_text("\n".join([*head, *body, ""]), "utf-8")


def look(name: str, kind: str, load, image, least: int = 4, **question) -> SaliencyMap:
    """Explain an image with a model; the map must be right, and the model as it was."""
    try:
        found = _look(load, image, least, question)
    except BaseException as error:
        tell(name, kind, "no: " + str(error).partition("\n")[0][:200])
        raise
    gc.collect()
    tell(name, kind, "works", f"`{found.layer}`, {found.values.shape[0]}×{found.values.shape[1]}")
    return found


def _look(load, image, least: int, question) -> SaliencyMap:
    torch.manual_seed(0)
    model: Model = load()
    liven(model.module)
    before, hooks = state_of(model.module), hook_count(model.module)
    [found] = camviz.explain(model, image, **question)
    assert np.isfinite(found.values).all(), "the map is not finite"
    assert np.abs(found.values).max() > 0, f"no gradient at the default layer '{found.layer}'"
    assert min(found.values.shape) >= least, f"a grid of {found.values.shape} at '{found.layer}'"
    assert found.overlay().size == (600, 400)
    assert hook_count(model.module) == hooks
    assert state_of(model.module) == before
    return found


def liven(module: torch.nn.Module) -> None:
    """Untrained models start with heads, and some with whole branches, at zero, and so would every map."""
    heads = [part for part in module.modules() if isinstance(part, torch.nn.Linear)]
    for part in heads:
        if not part.weight.any():
            torch.nn.init.normal_(part.weight, std=0.02)


def redraw(module: torch.nn.Module) -> None:
    """transformers draws all weights so small that nothing is left of an image behind a few convolutions."""
    for part in module.modules():
        if isinstance(part, (torch.nn.Linear, torch.nn.Conv2d)):
            torch.nn.init.kaiming_normal_(part.weight)


@pytest.mark.parametrize("name", [*HANDFUL, *(pytest.param(name, marks=pytest.mark.slow) for name in REST)])
def test_a_heatmap_of_every_classifier(name, pixels):
    look(name, "torchvision: classification", lambda: camviz.load(name, weights="none"), pixels(300, 200))


@pytest.mark.slow
@pytest.mark.parametrize("name", [one.name for one in listings().values() if one.task == "segmentation"])
def test_a_heatmap_of_every_segmenter(name, pixels):
    load = lambda: camviz.load(name, weights="none")  # noqa: E731
    found = look(name, "torchvision: segmentation", load, pixels(300, 200), 20, target="top1")
    assert found.layer.startswith("backbone.")
    assert found.marks[0].region.any()


@pytest.mark.slow
@pytest.mark.parametrize("name", [one.name for one in listings().values() if one.task == "detection"])
def test_a_heatmap_of_every_detector(name, pixels):
    def load() -> Model:
        model = camviz.load(name, weights="none")
        for part in model.module.head.modules() if name.startswith("ssd300") else ():
            if isinstance(part, torch.nn.Conv2d):
                torch.nn.init.normal_(part.weight, std=1e-4)  # as it is drawn, it is certain of everything
        return model

    torch.manual_seed(0)
    with pytest.raises(InputError, match="no detection") as caught:
        camviz.explain(load(), pixels(300, 200), min_score=0.999)
    bar = float(caught.value.hint.partition("--min-score ")[2] or 0)
    found = look(name, "torchvision: detection", load, pixels(300, 200), 7, min_score=min(bar, 0.01))
    assert found.layer.startswith("backbone.")
    assert found.marks[0].box


@pytest.mark.parametrize("name", [name for name, one in listings().items() if one.task in REFUSED])
def test_what_takes_no_image_says_so(name):
    with pytest.raises(ModelError, match=REFUSED[listings()[name].task]) as caught:
        camviz.load(name, weights="none")
    tell(name, f"torchvision: {listings()[name].task}", f"no: {caught.value.message}")


def test_every_model_of_torchvision_is_one_or_the_other():
    tasks = {"classification", "segmentation", "detection", "video classification", *REFUSED}
    assert {name for name, one in listings().items() if one.task in tasks} == set(models.list_models())


@pytest.mark.parametrize("name", known(TIMM, TIMM_HANDFUL))
def test_a_heatmap_of_timms_architectures(name, pixels, write_image, tmp_path):
    pytest.importorskip("timm", reason="timm is not installed")
    from camviz.models.timm_names import architectures, task_of

    [default] = architectures()[name].configurations[:1]
    embeds = task_of(name, 1000 if default.classes is None else default.classes) == "embedding"
    question = {"target": f"similar:{write_image(tmp_path / 'other.png', 64, 64, 1)}"} if embeds else {}
    task = "image features" if embeds else "classification"
    look(name, f"timm: {task}", lambda: camviz.load(f"timm:{name}", weights="none"), pixels(300, 200), **question)


def transformer(architecture: str, folder: Path) -> Model:
    """A small one, made from its configuration."""
    configuration(architecture).save_pretrained(folder)
    model = camviz.load(f"hf:{folder}", weights="none")
    redraw(model.module)
    if model.task == "segmentation":  # transformers hangs hooks of its own into it when it first runs
        model.module(torch.zeros(1, 3, *model.preprocessing.crop))
    return model


@pytest.mark.parametrize("name", known(list(CLASSIFIERS), HF_HANDFUL))
def test_a_heatmap_of_transformers_classifiers(name, pixels, tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    architecture = f"{name}ForImageClassification"
    look(architecture, "transformers: classification", lambda: transformer(architecture, tmp_path), pixels(300, 200))


@pytest.mark.slow
@pytest.mark.parametrize("name", SEGMENTERS)
def test_a_heatmap_of_transformers_segmenters(name, pixels, tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    architecture = f"{name}ForSemanticSegmentation"
    load = lambda: transformer(architecture, tmp_path)  # noqa: E731
    found = look(architecture, "transformers: segmentation", load, pixels(300, 200), target="top1")
    assert found.marks[0].region.any()


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTORS)
def test_a_heatmap_of_transformers_detectors(name, pixels, tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    architecture = f"{name}ForObjectDetection"
    load = lambda: transformer(architecture, tmp_path)  # noqa: E731
    found = look(architecture, "transformers: detection", load, pixels(300, 200), min_score=0.001)
    assert found.marks[0].box
