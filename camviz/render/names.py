"""Names and short texts in figures: methods, models, targets, blank maps."""

from __future__ import annotations

import re

import numpy as np

from camviz.render.bar import number, percent
from camviz.types import Map, SaliencyMap, Sign

_METHODS = {
    "cam": "CAM", "gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++", "smoothgradcam++": "Smooth Grad-CAM++",
    "xgradcam": "XGrad-CAM", "hirescam": "HiResCAM", "gradcam-elementwise": "Grad-CAM element-wise",
    "layercam": "LayerCAM", "shapleycam": "ShapleyCAM", "finercam": "Finer-CAM", "refinecam": "RefineCAM",
    "random": "Random map", "eigencam": "Eigen-CAM", "eigengradcam": "Eigen-Grad-CAM",
    "segeigencam": "Seg-Eigen-CAM", "kpcacam": "KPCA-CAM", "fem": "FEM", "dff": "DFF", "scorecam": "Score-CAM",
    "sscam": "SS-CAM", "iscam": "IS-CAM", "ablationcam": "Ablation-CAM", "occlusion": "Occlusion", "rise": "RISE",
    "drise": "D-RISE", "gradient": "Gradient", "gradient-x-input": "Gradient × Input", "smoothgrad": "SmoothGrad",
    "vargrad": "VarGrad", "integrated-gradients": "Integrated Gradients", "guided-backprop": "Guided Backprop",
    "deconvnet": "DeconvNet", "guided-gradcam": "Guided Grad-CAM", "fullgrad": "FullGrad",
    "rollout": "Attention Rollout", "grad-rollout": "Gradient Rollout", "chefer": "Chefer LRP", "legrad": "LeGrad",
}  # fmt: skip
# methods whose values are contributions to the explained score
_SCORE_UNITS = {"cam", "gradcam", "xgradcam", "hirescam", "gradcam-elementwise", "layercam", "shapleycam", "finercam"}
_WEIGHTS = re.compile(r"\.(pth?|ckpt|safetensors|bin|th|tar|pt2|onnx)$", re.IGNORECASE)


def method_name(method: str) -> str:
    """Return the display name of a method: Grad-CAM for gradcam; an added method keeps its own name."""
    return _METHODS.get(method, method)


def model_name(name: str) -> str:
    """Return the display name of a model: the stem of a file, never its path."""
    return _WEIGHTS.sub("", name.replace("\\", "/").rstrip("/").rpartition("/")[2]) or name


def scale_label(saliency_map: SaliencyMap) -> str:
    """Return the label of a map's color bar: the method and the unit of its values."""
    unit = ", score units" if saliency_map.method in _SCORE_UNITS else ""
    return method_name(saliency_map.method) + unit


def target_name(saliency_map: SaliencyMap) -> str:
    """Return the target with its probability, or its score where the model has no probabilities."""
    probability, score = saliency_map.probability, saliency_map.score
    value = percent(probability) if probability is not None else number(score) if np.isfinite(score) else ""
    return f"{saliency_map.target} {value}".strip()


def source_name(saliency_map: SaliencyMap) -> str:
    """Return the layer and the model of a map."""
    layer, model = saliency_map.layer, model_name(saliency_map.model)
    return f"{layer} of {model}" if layer != "input" else model


def blank_note(values: Map, sign: Sign) -> str:
    """Explain why nothing can be seen of a raw map, "" if something can."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "no finite value"
    low, high = float(finite.min()), float(finite.max())
    if low == high == 0:
        return "zero everywhere"
    blank = (sign == "positive" and high <= 0) or (sign == "negative" and low >= 0)
    return f"no {sign} value" if blank else ""
