"""How many channels a model takes: as many as its first layer that runs shows, not the first that is registered."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from camviz.errors import ModelError
from camviz.hooks.capture import borrowed, hooks
from camviz.hooks.meta import on_meta
from camviz.models.detectors import transform_of

_SIDE = 64  # of a probe that ends at the first layer, unless the size is known


class _Reached(Exception):
    """The first layer is reached: its module, and the channels of what it was called with."""

    def __init__(self, layer: nn.Module, channels: int) -> None:
        super().__init__()
        self.layer, self.channels = layer, channels


def input_channels(module: nn.Module, size: tuple[int, int] = (_SIDE, _SIDE)) -> int:
    """Return the channels of the input; 3 where nothing shows them. `size` is (height, width).

    The forward is run on the meta device up to the first convolution or linear layer. What it is called with grows
    linearly with the channels of the input: k times as many through space-to-depth, some more through coordinates.
    """
    stated = getattr(module, "input_channels", None)
    if isinstance(stated, int):
        return stated
    if transform_of(module) is not None:  # a detector resizes and normalizes colors itself
        return 3
    convolutions = [part for part in module.modules() if isinstance(part, (nn.Conv2d, nn.Conv3d))]
    registered = convolutions[0].in_channels if convolutions else 3
    seen: dict[int, int] = {}
    for count in dict.fromkeys((3, registered, 1, 4, 2)):
        reached = _probe(module, (1, count, *size))
        if reached is None:
            continue
        expected = _expected(reached.layer)
        if reached.channels == expected:
            return count
        seen[count] = reached.channels
        if len(seen) == 2:
            (first, low), (second, high) = seen.items()
            slope = (high - low) / (second - first)
            solution = first + (expected - low) / slope if slope else float(first)
            return int(solution) if solution == int(solution) > 0 else registered
    for count, channels in seen.items():  # a single probe: channels in proportion
        if not registered * count % channels:
            return registered * count // channels
    return registered


def initialize(module: nn.Module, size: tuple[int, int]) -> bool:
    """Give lazy layers their shapes by a forward over an image of (height, width); return whether there were any."""
    if not any(is_lazy(parameter) for parameter in module.parameters()):
        return False
    with borrowed(module), torch.no_grad(), suppress(Exception):  # the survey reports what fails
        module(torch.zeros((1, 3, *size)))
    return True


def check_dimensions(module: nn.Module, name: str) -> None:
    """Raise `ModelError` for a model of volumes or signals, which would read an image as something else."""
    if transform_of(module) is not None:
        return
    reached = _probe(module, (1, 3, _SIDE, _SIDE)) or _probe(module, (1, 1, _SIDE, _SIDE))
    kinds = {nn.Conv3d: ("volumes or clips (n, channels, depth, height, width)", "3-D"), nn.Conv1d: ("signals", "1-D")}
    for kind, (inputs, dimensions) in kinds.items():
        if reached and isinstance(reached.layer, kind) and not hasattr(module, "clip_frames"):
            raise ModelError(
                f"{name} begins with a {dimensions} convolution: it takes {inputs}, and camviz gives it images",
                "a video model of torchvision works by name: --model r3d_18 with a video",
            )


def _expected(layer: nn.Module) -> int:
    return int(getattr(layer, "in_channels", 0) or getattr(layer, "in_features", 0))


def _probe(module: nn.Module, shape: Sequence[int]) -> _Reached | None:
    """Return the first layer that a forward reaches; None where it fails before."""

    def stop(layer: nn.Module, arguments: Any) -> None:
        tensor = next((item for item in arguments if isinstance(item, torch.Tensor)), None)
        if tensor is not None:
            axis = tensor.ndim - 1 if isinstance(layer, nn.Linear) else min(1, tensor.ndim - 1)
            raise _Reached(layer, tensor.shape[axis])

    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    try:
        with borrowed(module), torch.no_grad(), on_meta(module), hooks() as handles:
            for part in module.modules():
                if isinstance(part, kinds):
                    handles.append(part.register_forward_pre_hook(stop))
            module(torch.zeros(tuple(shape), device="meta"))
    except _Reached as reached:
        return reached
    except Exception:  # this many channels do not fit, or the meta device does not do
        return None
    return None
