"""The arguments that the functions of the Python interface share: options of maps, and images of any kind."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from camviz.errors import UnknownName, check_keywords
from camviz.io.notebook import iterate_images
from camviz.models.preprocess import prepare, tensors_as_inputs
from camviz.types import Fuse, Image, Model, Preprocessing, Request, SaliencyMap, Score, Smooth, View
from camviz.types import Precision as Precision_

_MISSPELLED = {  # keywords of other libraries, and where theirs are set here
    "cmap": "overlay(colormap='viridis') or draw(colormap=…) of a map",
    "colormap": "overlay(colormap='viridis') or draw(colormap=…) of a map",
    "alpha": "overlay(alpha=0.5) or draw(alpha=…) of a map",
    "device": "load(model, device='cuda')",
    "use_cuda": "load(model, device='cuda')",
    "task": "load(model, task='classification')",
    "labels": "load(model, labels=[…])",
    "checkpoint": "load(model, checkpoint='my.pth')",
    "preprocess": "load(model, preprocess=…)",
    "aug_smooth": "smooth='aug'",
    "eigen_smooth": "smooth='eigen'",
    "input_tensor": "the images as second argument, normalized=True for tensors that are normalized",
    "samples": "settings={'samples': 50}",
    **dict.fromkeys(("class_idx", "class_index", "category", "target_category", "class_name", "targets"), "target=281"),
    **dict.fromkeys(("target_layers", "target_layer", "layer_name", "layers"), "layer='layer4'"),
    **dict.fromkeys(("methods", "cam", "cam_type"), "method='gradcam'"),
}


class Maps(list[SaliencyMap]):
    """Saliency maps; a notebook shows their figures."""

    def _repr_html_(self) -> str:
        shown = (base64.b64encode(saliency_map._repr_png_()).decode() for saliency_map in self)
        return "".join(f'<img style="display: inline-block" src="data:image/png;base64,{data}">' for data in shown)


class Options(TypedDict, total=False):
    """Further settings of maps, as on the command line; see `camviz.types.Request`."""

    score: Score | None
    min_score: float
    precision: Precision_
    batch_size: int
    smooth: Smooth
    fuse: Fuse
    seed: int
    floor: bool


def request_of(
    method: str | Sequence[str] = (),
    target: str | int | Sequence[str | int] = (),
    layer: Any = (),
    settings: Mapping[str, Any] | None = None,
    fit: str = "model",
    **options: Any,
) -> Request:
    """Return the `Request` of `explain`'s arguments: one name or several, settings of any type.

    Raises `UnknownKeyword` for an option that does not exist.
    """
    check_keywords(options, [*Options.__annotations__, "method", "target", "layer", "fit"], _MISSPELLED)
    typed = tuple((key, str(value)) for key, value in (settings or {}).items())
    targets = tuple(str(text) for text in as_list(target))
    methods, layers = tuple(as_list(method)), tuple(as_list(layer))
    shared: dict[str, Any] = {"fit": fit, **options}
    return Request(methods=methods, targets=targets, layers=layers, settings=typed, **shared)


def layer_names(layer: Any, *models: Model) -> list[str]:
    """Return the names of layers, of modules their paths in the models. Raises `UnknownName`."""
    paths = {part: path for model in models for path, part in model.module.named_modules()}
    names = []
    for item in as_list(layer):
        if not isinstance(item, str) and item not in paths:
            raise UnknownName(f"a {type(item).__name__} is no layer of {models[0].name}", "layer='layer4', or a module")
        names.append(item if isinstance(item, str) else paths[item])
    return names


def as_list(value: Any) -> list[Any]:
    """Return the value as a list; a single value becomes a list of length 1."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def prepared_images(
    images: Any, how: Preprocessing, fit: str = "model", normalized: bool = False
) -> Iterator[tuple[Image, NDArray[np.float32], View]]:
    """Yield each image with the model's input (c, h, w) and its view; `normalized` tensors are inputs already."""
    if normalized:
        yield from tensors_as_inputs(images, how)
    else:
        yield from ((image, *prepare(image, how, fit)) for image in iterate_images(images, how.window))
