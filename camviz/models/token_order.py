"""Whether tokens are in reading order, measured where a model regroups them: by which pixels a token depends on most.

A block that works window by window, such as that of a windowed DINOv2 (RF-DETR), may hold its tokens in the order of
the windows. Their number is that of a grid all the same, so shapes cannot show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from camviz.hooks.capture import borrowed, first_tensor, watch
from camviz.hooks.operations import Call, Trace
from camviz.models.survey import LayerRun, Survey, float_type
from camviz.types import Layer

_REGROUPS = ("permute", "transpose", "swapaxes", "movedim", "einsum")
_AXES = 6  # of a tensor that is split into windows; attention heads make five
_PROBES = (0.08, 0.22, 0.34, 0.41, 0.55, 0.63, 0.78, 0.87)  # tokens that are looked at, as shares of their number
_CLEAR = 3.0  # times as much gradient at another cell as at the token's own
_KNOWN: WeakKeyDictionary[Trace, frozenset[str]] = WeakKeyDictionary()


def out_of_order(module: nn.Module, seen: Survey, layers: Sequence[tuple[LayerRun, Layer]]) -> frozenset[str]:
    """Return the paths of the layers whose tokens are in another order than that of their positions.

    Only layers behind an operation that may regroup tokens are measured, one for all layers behind the same ones.
    """
    if seen.trace is None or any(parameter.is_meta for parameter in module.parameters()):
        return frozenset()
    if seen.trace not in _KNOWN:
        _KNOWN[seen.trace] = frozenset(_measured(module, seen, seen.trace, layers))
    return _KNOWN[seen.trace]


def _measured(module: nn.Module, seen: Survey, trace: Trace, layers: Sequence[tuple[LayerRun, Layer]]) -> list[str]:
    groups: dict[frozenset[Call], list[Layer]] = {}
    for run, layer in layers:
        call = trace.by_tensor.get(run.output)
        key = frozenset(filter(_regroups, trace.before(call))) if call and layer.layout == "tokens" else frozenset()
        if key:
            groups.setdefault(key, []).append(layer)
    if not groups:
        return []
    outermost = {key: min(reversed(group), key=lambda layer: layer.path.count(".")) for key, group in groups.items()}
    try:
        scattered = _scattered(module, seen, list(outermost.values()))
    except Exception:  # a model without gradients, or one that random values stop
        return []
    return [layer.path for key, group in groups.items() if outermost[key].path in scattered for layer in group]


def _regroups(call: Call) -> bool:
    return call.name in _REGROUPS and any(tensor.ndim >= _AXES for tensor in call.tensors)


def _scattered(module: nn.Module, seen: Survey, layers: Sequence[Layer]) -> set[str]:
    """Return the paths of the layers of whose probed tokens many depend most on pixels elsewhere."""
    outputs: dict[str, Tensor] = {}

    def record(path: str, _part: nn.Module, _inputs: object, output: object) -> None:
        tensor = first_tensor(output)
        if tensor is not None:
            outputs[path] = tensor

    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    channels = next((call.tensors[0].shape[1] for call in seen.trace.calls if call.tensors), 3) if seen.trace else 3
    generator = torch.Generator().manual_seed(0)
    values = torch.randn((1, int(channels), *seen.input_size), generator=generator).to(device, float_type(module))
    parts = {layer.path: module.get_submodule(layer.path) for layer in layers}
    with borrowed(module), torch.enable_grad(), watch(parts, record):
        inputs = values.requires_grad_()
        module(inputs)
        return {layer.path for layer in layers if _elsewhere(layer, outputs[layer.path], inputs, seen.input_size)}


def _elsewhere(layer: Layer, output: Tensor, inputs: Tensor, size: tuple[int, int]) -> bool:
    height, width = layer.cells(output.shape[1], size)
    generator = torch.Generator().manual_seed(1)
    direction = torch.randn(output.shape[2], generator=generator).to(output)  # a sum is constant behind a LayerNorm
    far = 0
    for share in _PROBES:
        number = int(share * height * width)
        (gradient,) = torch.autograd.grad(output[0, layer.prefix + number] @ direction, inputs, retain_graph=True)
        cells = F.adaptive_avg_pool2d(gradient.float().abs().sum(1), (height, width))[0]
        y, x = divmod(int(cells.argmax()), width)
        row, column = divmod(number, width)
        distant = max(abs(y - row), abs(x - column)) > 1
        far += distant and float(cells[y, x]) > _CLEAR * float(cells[row, column])
    return 3 * far > len(_PROBES)
