"""The table of models of other libraries: python -m tools.docs.model_table [LIBRARY…] > docs/reference/tried-models.md

Each model is built with random weights as its library's README does, and given to camviz. Its preprocessing is compared
with the library's own on a photograph, and one map is computed.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image as PILImage

import camviz
from camviz.demo import sample_folder
from camviz.errors import CamvizError, InputError, NothingFound
from camviz.models.preprocess import prepare
from camviz.types import Image, Model

Transform = Callable[[PILImage.Image], Any]
SAME = 1e-5
HEADER = """# Models of other libraries

Built with random weights as each library's README does, and passed to `camviz.load`. Preprocessing is compared with the
library's own on a photograph: the largest difference of the model's input, in bold above 1e-5. Made by
`python -m tools.docs.model_table > docs/reference/tried-models.md` with {versions}.

| library | model | task | classes | preprocessing | differs by | map |
|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Trial:
    """A model of a library: how it is loaded, and the library's own transform of an image, None if it has none."""

    library: str
    name: str
    load: Callable[[], tuple[Model, Transform | None]]
    target: str = ""


TORCHVISION = [
    "alexnet",
    "vgg11_bn",
    "resnet18",
    "resnext50_32x4d",
    "wide_resnet50_2",
    "densenet121",
    "googlenet",
    "inception_v3",
    "squeezenet1_1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mnasnet0_5",
    "shufflenet_v2_x0_5",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "regnet_y_400mf",
    "convnext_tiny",
    "vit_b_16",
    "swin_t",
    "swin_v2_t",
    "maxvit_t",
    "fcn_resnet50",
    "deeplabv3_mobilenet_v3_large",
    "lraspp_mobilenet_v3_large",
    "ssdlite320_mobilenet_v3_large",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
]
TIMM = [
    "resnet18",
    "resnetv2_50x1_bit",
    "efficientnet_b0",
    "tf_efficientnetv2_b0",
    "mobilenetv4_conv_small",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "deit3_small_patch16_224",
    "beit_base_patch16_224",
    "swin_tiny_patch4_window7_224",
    "pvt_v2_b0",
    "xcit_nano_12_p16_224",
    "edgenext_xx_small",
    "mobilevit_xs",
    "poolformer_s12",
    "mixer_s16_224",
    "coat_tiny",
    "levit_128s",
    "tiny_vit_5m_224",
    "repvgg_a0",
    "ghostnet_100",
    "hrnet_w18_small",
    "nfnet_l0",
    "rexnet_100",
    "vit_small_patch14_dinov2",
]
YOLO = ["yolov8n-cls", "yolov8n", "yolo11n"]
TRANSFORMERS = [
    "ResNet",
    "ViT",
    "DeiT",
    "Beit",
    "ConvNext",
    "Swin",
    "MobileNetV2",
    "MobileViT",
    "PoolFormer",
    "Dinov2",
]


def torchvision_model(name: str) -> tuple[Model, Transform | None]:
    """Load by name, as the library's model table lists it."""
    from torchvision.models import get_model_weights

    model = camviz.load(name, weights="none")
    transform: Transform = next(iter(get_model_weights(name))).transforms()
    return model, None if model.task == "detection" else transform


def timm_model(name: str) -> tuple[Model, Transform | None]:
    """Build as timm's README does, with the transform of its configuration."""
    import timm

    module = timm.create_model(name)
    config = timm.data.resolve_model_data_config(module)
    return camviz.load(module.eval()), timm.data.create_transform(**config, is_training=False)


def transformers_model(name: str) -> tuple[Model, Transform | None]:
    """Build from the default configuration, with the image processor of its kind."""
    import transformers

    config = getattr(transformers, f"{name}Config")()
    module = getattr(transformers, f"{name}ForImageClassification")(config)
    kinds = transformers.models.auto.image_processing_auto.IMAGE_PROCESSOR_MAPPING[type(config)]
    kind = kinds.get("pil") or next(iter(kinds.values()))
    processor = kind()
    return camviz.load(module.eval()), lambda image: processor(image, return_tensors="np")["pixel_values"][0]


def xray_model(name: str) -> tuple[Model, Transform | None]:
    """torchxrayvision: gray levels of -1024 to 1024."""
    import torchvision
    import torchxrayvision

    def transform(image: PILImage.Image) -> Any:
        crop = torchvision.transforms.Compose(
            [torchvision.transforms.Resize(224), torchvision.transforms.CenterCrop(224)]
        )
        gray = crop(image.convert("L"))
        return torchxrayvision.datasets.normalize(np.asarray(gray, np.float32), 255)[None]

    return camviz.load(torchxrayvision.models.DenseNet(num_classes=18).eval()), transform


def yolo_model(name: str) -> tuple[Model, Transform | None]:
    """ultralytics: the module inside YOLO(...), built from its configuration."""
    from ultralytics import YOLO

    return camviz.load(YOLO(f"{name}.yaml").model.eval()), None


def clip_model(name: str) -> tuple[Model, Transform | None]:
    """open_clip: the image tower with the transform that comes with it."""
    import open_clip

    module, _, preprocess = open_clip.create_model_and_transforms(name)
    return camviz.load(module.visual.eval(), preprocess=preprocess), preprocess


def trials() -> list[Trial]:
    """Return all models in the order of the table."""
    photo = f"similar:{next(iter(sorted(sample_folder().glob('*.jpg'))))}"
    return [
        *(Trial("torchvision", name, lambda name=name: torchvision_model(name)) for name in TORCHVISION),
        *(Trial("timm", name, lambda name=name: timm_model(name)) for name in TIMM),
        *(Trial("transformers", name, lambda name=name: transformers_model(name)) for name in TRANSFORMERS),
        Trial("torchxrayvision", "DenseNet", lambda: xray_model("DenseNet")),
        *(Trial("ultralytics", name, lambda name=name: yolo_model(name)) for name in YOLO),
        *(Trial("open_clip", name, lambda name=name: clip_model(name), photo) for name in ("RN50", "ViT-B-32")),
    ]


def row(trial: Trial, photo: PILImage.Image) -> list[str]:
    """Return the cells of a model's line."""
    cells = [trial.library, f"`{trial.name}`"]
    try:
        model, transform = trial.load()
    except CamvizError as error:
        return [*cells, "", "", "", "", f"refused: {error.message}"]
    how = model.sources.get("preprocessing", "")
    cells_of_input = [how, difference(model, transform, photo)]
    try:
        [saliency, *_] = camviz.explain(model, photo, target=trial.target or ())
    except NothingFound as error:
        return [*cells, "detection", str(len(model.labels) or ""), *cells_of_input, f"no detection: {error.message}"]
    except CamvizError as error:
        return [*cells, model.task, "", *cells_of_input, f"refused: {error.message}"]
    output = saliency.facts["output"]
    size = "×".join(map(str, reversed(saliency.values.shape)))
    classes = "" if output["task"] == "embedding" else str(output["classes"] or len(model.labels) or "")
    labeled = f"{classes}, named" if model.labels else classes
    return [*cells, output["task"], labeled, *cells_of_input, f"{size} at `{saliency.layer}`"]


def difference(model: Model, transform: Transform | None, photo: PILImage.Image) -> str:
    """Return the largest difference of a model's input and the library's own."""
    if transform is None:
        return "no transform of its own"
    expected = np.asarray(transform(photo), np.float32)
    try:
        values, _ = prepare(Image(np.asarray(photo)), model.preprocessing)
    except InputError as error:
        return error.message
    if values.shape != expected.shape:
        return f"{values.shape} for {expected.shape}"
    largest = float(np.abs(values - expected).max() / max(1.0, float(np.abs(expected).max())))
    return "0" if not largest else f"< {SAME:g}" if largest < SAME else f"**{largest:.2g}**"


def main() -> None:
    """Print the page."""
    warnings.simplefilter("ignore")
    photo = PILImage.open(sorted(sample_folder().glob("*.jpg"))[0]).convert("RGB").resize((500, 400))
    names = dict.fromkeys(trial.library for trial in trials())
    known = []
    for name in names:
        try:
            with redirect_stdout(sys.stderr):
                known.append(f"{name} {getattr(importlib.import_module(name), '__version__', '')}".strip())
        except ImportError:
            print(f"skipped: {name} is not installed", file=sys.stderr)
    print(HEADER.format(versions=", ".join(known)))
    for trial in trials():
        if sys.argv[1:] and trial.library not in sys.argv[1:]:
            continue
        if any(entry.split()[0] == trial.library for entry in known):
            with redirect_stdout(sys.stderr):
                cells = row(trial, photo)
            print("|", " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells), "|", flush=True)


if __name__ == "__main__":
    main()
