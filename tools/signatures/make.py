"""Make the table of signatures from models built without memory for their parameters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from camviz.models.signatures.table import Head, Shapes, Signature, body_names, digest_names, digest_shapes

Build = Callable[..., Any]
_OTHER = 7  # classes of the second model, that shows which tensors are the head's
_TASKS = {"segmentation": "segmentation", "detection": "detection", "video": "video", "optical_flow": "optical flow"}
_VARIANTS = {"googlenet": "aux_logits", "inception_v3": "aux_logits"}


def shapes_of(build: Build, **arguments: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of a model, in its own order."""
    from camviz.models.cheap_init import parameters_on_meta

    with parameters_on_meta():
        module = build(**arguments)
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def signature(
    source: str, name: str, task: str, shapes: Shapes, head: Head, inputs: tuple[str, ...], **more: Any
) -> Signature:
    """The row of a model with these tensors."""
    body = digest_names(body_names(shapes, head))
    return Signature(
        source, name, task, digest_names(shapes), digest_shapes(shapes, head, inputs), body, head, inputs, **more
    )


def from_torchvision(names: list[str] | None = None) -> Iterator[Signature]:
    """Every float model of torchvision; auxiliary heads with and without."""
    from torchvision import models

    for name in names or models.list_models():
        if name.startswith("quantized_"):  # their float form has the tensors of the plain one
            continue
        builder = models.get_model_builder(name)
        task = next((task for part, task in _TASKS.items() if f".{part}." in builder.__module__), "classification")
        switch = "aux_loss" if task == "segmentation" and "lraspp" not in name else _VARIANTS.get(name)
        for arguments in [{switch: True}, {switch: False}] if switch else [{}]:
            yield _torchvision_row(name, task, models.get_model_weights(name), builder, arguments)


def _torchvision_row(name: str, task: str, weights: Any, builder: Build, chosen: dict[str, Any]) -> Signature:
    fixed: dict[str, Any] = {"weights": None}
    if task in ("segmentation", "detection"):
        fixed["weights_backbone"] = None
    if name in _VARIANTS:
        fixed |= {"init_weights": False, "transform_input": True}
    described = next(iter(weights))
    classes = len(described.meta.get("categories", ()))
    if task == "optical flow":
        shapes = shapes_of(builder, weights=None)
        return signature("torchvision", name, task, shapes, Head(), _first(shapes))
    size: Any = getattr(described.transforms(), "crop_size", [0])
    size = size[0] if isinstance(size, (list, tuple)) else size
    if name.startswith("vit_"):
        fixed["image_size"] = size
    shapes = shapes_of(builder, num_classes=classes, **fixed, **chosen)
    other = shapes_of(builder, num_classes=_OTHER, **fixed, **chosen)
    head = _head(shapes, other, classes)
    return signature(
        "torchvision", name, task, shapes, head, _first(shapes), classes=classes, size=size, arguments=chosen
    )


def _head(shapes: Shapes, other: Shapes, classes: int) -> Head:
    """What differs between two models that differ in their number of classes."""
    changed = [name for name in shapes if shapes[name] != other[name]]
    for name in reversed(changed):
        rows, rows_other = shapes[name][0], other[name][0]
        if rows % classes == 0 and rows_other == rows // classes * _OTHER and len(shapes[name]) > 1:
            return Head(tuple(changed), name, rows // classes)
    return Head(tuple(changed))


def _first(shapes: Shapes) -> tuple[str, ...]:
    """The first convolution's weight that looks at three channels."""
    return next(((name,) for name, shape in shapes.items() if len(shape) > 3 and shape[1] == 3), ())


def from_timm(names: list[str] | None = None) -> Iterator[Signature]:
    """Every model of timm, by what timm itself says of head and first convolution."""
    import timm

    for name in names or timm.list_models():
        try:
            described: dict[str, Any] = {}
            shapes = _timm_shapes(timm, name, described)
        except Exception as error:  # some need packages that are not here
            print(f"left out: timm:{name}: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        paths = _several(described.get("classifier"))
        tensors = tuple(key for key in shapes if any(key.startswith(f"{path}.") for path in paths))
        key = next((key for key in tensors if len(shapes[key]) > 1), "")
        first = tuple(f"{path}.weight" for path in _several(described.get("first_conv")))
        inputs = tuple(name for name in first if len(shapes.get(name, ())) > 3) or _first(shapes)
        size = (described.get("input_size") or (3, 0, 0))[-1]
        head = Head(tensors, key)
        classes = shapes[key][0] if key else 0
        yield signature("timm", name, "classification", shapes, head, inputs, classes=classes, size=size)


def _timm_shapes(timm: Any, name: str, described: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    def build() -> Any:
        module = timm.create_model(name, pretrained=False)
        described.update(module.pretrained_cfg or {})
        return module

    return shapes_of(build)


def _several(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())
