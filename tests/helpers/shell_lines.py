"""What a reader of README and docs has before typing: images, models, weights to download, and a shell."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from camviz.demo import sample_folder
from tests.helpers.documents import ROOT, text
from tests.helpers.small_videos import moving, write_video

_CLASSES = ("star", "ring")
_MODEL = '''
from torchvision.models import ShuffleNetV2


class Net(ShuffleNetV2):
    """shufflenet_v2_x0_5 of two classes."""

    def __init__(self):
        super().__init__([4, 8, 4], [24, 48, 96, 192, 1024], num_classes=2)
'''
_BOXES = """<annotation><size><width>96</width><height>72</height></size><object><name>{name}</name>
<bndbox><xmin>20</xmin><ymin>20</ymin><xmax>70</xmax><ymax>60</ymax></bndbox></object></annotation>"""


# the folder


def write_folder(folder: Path) -> None:
    """The files that lines to type name. Images are small, models untrained."""
    import torch

    samples = sorted(sample_folder().glob("*.jpg"))
    for name, sample in zip(("photo.jpg", "other.jpg", "street.jpg"), samples, strict=False):
        _image(sample, folder / name)
    rows = []
    for number, sample in enumerate(samples[3:7]):
        name = f"{_CLASSES[number % 2]}/{number}"
        _image(sample, folder / "photos" / f"{name}.jpg")
        _text(folder / "Annotations" / f"{name}.xml", _BOXES.format(name="tabby"))
        _mask(folder / "masks" / f"{name}.png")
        rows.append([f"{name}.jpg", "tabby"])
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([["file", "label"], *rows])
    _mask(folder / "region.png")
    (folder / "clips").mkdir()
    for path in (folder / "clip.mp4", folder / "clips" / "a.mp4"):
        write_video(path.with_suffix(".avi"), moving(20, 64, 48)).rename(path)  # OpenCV looks at the content
    for name in ("net", "old", "new"):
        _text(folder / f"{name}.py", _MODEL)
    module = _found(_MODEL)["Net"]
    for seed, name in enumerate(("my", "old", "new", "epoch_1", "epoch_2", "epoch_10")):
        torch.manual_seed(seed)
        torch.save(module().state_dict(), folder / f"{name}.pth")
    [(name, code)] = re.findall(r'```py title="(.*?)"\n(.*?)```', text("docs/how-to/checkpoint.md"), re.DOTALL)
    _text(folder / name, code)
    _text(folder / "names.txt", "".join(f"{name}\n" for name in _CLASSES))
    _text(folder / "my.toml", 'method = "layercam"\n\n[heatmap]\nlayout = "panel"\n')
    shutil.copytree(sample_folder(), folder / "sample_images")
    (folder / "docs" / "pictures").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "pictures" / "toys.jpg", folder / "docs" / "pictures")


def _image(source: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(source).convert("RGB").resize((96, 72)).save(path)


def _mask(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((72, 96), np.uint8)
    values[20:60, 20:70] = 255
    Image.fromarray(values).save(path)


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _found(code: str) -> dict[str, Any]:
    space: dict[str, Any] = {}
    exec(code, space)
    return space


def write_saved(folder: Path) -> None:
    """`my_model`, `my_clip` and `my_dinov2`, as `save_pretrained` writes them."""
    from tests.models import test_backbones, test_clip_text
    from tests.models.sources import test_hf

    test_hf.save(folder / "my_model", processor="ViTImageProcessor", id2label={0: "cat", 1: "dog", 2: "owl"})
    test_clip_text.save(folder / "my_clip", "CLIP")
    test_backbones.save(folder / "my_dinov2", "Dinov2Model")


# models behind the names: the same layers and shapes of images, but few channels, and untrained weights


def narrow(patch: pytest.MonkeyPatch) -> None:
    """Put narrow models in the place of the large ones of torchvision."""
    from torchvision.models import _api, detection, resnet, segmentation, vision_transformer

    thin = partial(resnet.resnet50, width_per_group=4)
    patch.setitem(_api.BUILTIN_MODELS, "resnet50", thin)
    for module in (detection.faster_rcnn, detection.mask_rcnn, detection.retinanet):
        patch.setattr(module, "resnet50", thin)
    for module in (segmentation.deeplabv3, segmentation.fcn):
        patch.setattr(module, "resnet50", thin)
    small = {"min_size": 96, "max_size": 128}
    few = {**small, "rpn_post_nms_top_n_test": 20, "box_detections_per_img": 2}
    for name in ("fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn"):
        patch.setitem(_api.BUILTIN_MODELS, name, partial(_api.BUILTIN_MODELS[name], **few))
    name = "retinanet_resnet50_fpn"
    patch.setitem(_api.BUILTIN_MODELS, name, partial(_api.BUILTIN_MODELS[name], detections_per_img=3, **small))

    @wraps(vision_transformer.vit_b_16)  # torchvision reads from its signature which weights there are
    def vit(*, weights: Any = None, progress: bool = True, **more: Any) -> Any:
        sizes = {"patch_size": 16, "num_layers": 12, "num_heads": 4, "hidden_dim": 32, "mlp_dim": 64}
        return vision_transformer._vision_transformer(**sizes, weights=weights, progress=progress, **more)

    patch.setitem(_api.BUILTIN_MODELS, "vit_b_16", vit)


def stand_in_for_downloads(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Untrained weights for whatever is asked for, kept in caches below `home` as downloads are."""
    import huggingface_hub
    import torch

    patch.setenv("TORCH_HOME", str(home / "torch"))
    patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hf"))
    patch.setattr(torch.hub, "download_url_to_file", _weights_of_torchvision)
    patch.setattr(huggingface_hub, "get_hf_file_metadata", lambda _, timeout: None)
    patch.setattr(huggingface_hub, "hf_hub_download", _file_of_the_hub)


def _weights_of_torchvision(url: str, path: str, *_: Any, **__: Any) -> None:
    """In a thread of its own: where weights are about to be read, models are built without drawing any."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(_write_weights, url, path).result()


def _write_weights(url: str, path: str) -> None:
    import torch
    from torchvision import models

    from camviz.models.catalog import listings
    from camviz.models.sources.torchvision import _arguments

    listing = next(one for one in listings().values() if url in one.weights.values())
    weights = models.get_model_weights(listing.name).DEFAULT
    torch.manual_seed(1)
    module = models.get_model(listing.name, weights=None, **_arguments(listing, weights, same=True))
    if listing.name.startswith("vit"):
        torch.nn.init.normal_(module.heads.head.weight)  # zeros: no image would matter
    with torch.no_grad():
        _sees(module, listing.name)
    torch.save(module.state_dict(), path)


def _sees(module: Any, name: str) -> None:
    """Make an untrained detector find persons, and an untrained segmenter a bus."""
    if "rcnn" in name:
        module.roi_heads.box_predictor.cls_score.bias[1] = 9
    elif name.startswith("ssd"):
        for head in module.head.classification_head.module_list:
            head.bias.view(-1, 91)[:, 1] = 9
    elif name.startswith("retinanet"):
        module.head.classification_head.cls_logits.bias.view(-1, 91)[:, 1] = 2
    elif name.startswith(("fcn", "deeplab")):
        module.classifier[-1].bias[6] = 9


def _file_of_the_hub(repository: str, file: str, **_: Any) -> str:
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    place = folder / "snapshots" / "a1"
    if not place.exists():
        _text(folder / "refs" / "main", "a1")
        place.mkdir(parents=True)
        owner, _, name = repository.partition("/")
        if owner == "timm":
            import timm
            from safetensors.torch import save_file

            save_file(timm.create_model(name).state_dict(), place / "model.safetensors")
        else:
            import transformers

            from tests.helpers.small_transformers import configuration

            transformers.ResNetForImageClassification(configuration("ResNetForImageClassification")).save_pretrained(
                place
            )
            transformers.ConvNextImageProcessor().save_pretrained(place)
    return str(place / file)


# the shell


_STUB = """#!{python} -IS
import json, os, sys
said = "" if "-" not in sys.argv[1:] else sys.stdin.read()
asked = {{key: os.environ[key] for key in {variables} if key in os.environ}}
with open({record!r}, "a") as file:
    print(json.dumps([sys.argv[1:], asked, said]), file=file)
"""
_TORCHRUN = """#!/bin/sh
while [ "$1" != camviz ]; do [ "$1" = --nproc-per-node ] && count=$2; shift; done
for rank in $(seq 0 $((count - 1))); do RANK=$rank WORLD_SIZE=$count "$@" || exit; done
"""
_SRUN = """#!/bin/sh
while [ "$1" != camviz ]; do case $1 in --ntasks=*) count=${1#*=};; esac; shift; done
for rank in $(seq 0 $((count - 1))); do SLURM_PROCID=$rank SLURM_STEP_NUM_TASKS=$count "$@" || exit; done
"""
_SBATCH = """#!/bin/sh
for part in "$@"; do case $part in --array=1-*) count=${part#*-*-*-};; esac; done
for part in "$@"; do wrapped=$part; done
for number in $(seq 1 $count); do SLURM_ARRAY_TASK_ID=$number sh -c "$wrapped" || exit; done
"""
_VARIABLES = ["RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"]
Call = tuple[list[str], dict[str, str], str]


def typed(line: str, folder: Path, tools: Path) -> list[Call]:
    """What a shell in `folder` makes of a line: each call of camviz, its arguments, variables and standard input.

    camviz itself does nothing then; torchrun, srun and sbatch are stand-ins that start as many as they are asked for.
    """
    tools.mkdir(exist_ok=True)
    record = tools / "calls.jsonl"
    record.write_text("")
    stub = _STUB.format(python=sys.executable, record=str(record), variables=_VARIABLES)
    for name, script in {"camviz": stub, "torchrun": _TORCHRUN, "srun": _SRUN, "sbatch": _SBATCH}.items():
        _program(tools / name, script)
    for name in ("pip", "python", "ruff", "mypy"):
        _program(tools / name, "#!/bin/sh\n")
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["bash", "-ec", line], cwd=folder, env=environment, check=True, capture_output=True, timeout=60)
    return [tuple(json.loads(text)) for text in record.read_text().splitlines()]


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def play(calls: list[Call], run: Callable[..., Any], patch: pytest.MonkeyPatch) -> list[Any]:
    """Each call in this process, one after the other, with the variables it had."""
    results = []
    for arguments, variables, said in calls:
        with patch.context() as scope:
            for name in _VARIABLES:
                scope.delenv(name, raising=False)
            for name, value in variables.items():
                scope.setenv(name, value)
            results.append(run(*arguments, stdin=said or None))
    return results
