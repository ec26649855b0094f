"""One cheap forward that notes every layer: shape, order, who feeds whom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from camviz.engine.capture import borrowed, first_tensor, watch
from camviz.errors import NetworkError
from camviz.models.dense import economical, transform_of


@dataclass(frozen=True)
class Seen:
    """One layer as it ran: `shape` without the batch; `output` and `input` name tensors, equal when the same."""

    path: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    output: int
    input: int


@dataclass(frozen=True)
class Survey:
    """All layers in the order in which they finished, and what went in and came out."""

    layers: tuple[Seen, ...]
    input_size: tuple[int, int]
    output_shape: tuple[int, ...]
    output: Any = None  # what came out for one picture; on the meta device where possible

    def find(self, path: str) -> Seen | None:
        """The layer at `path`, as it ran last; None when it did not run."""
        return next((seen for seen in reversed(self.layers) if seen.path == path), None)


class _ParametersOnMeta(TorchFunctionMode):
    """Builds networks without memory for their parameters.

    Unlike `torch.device("meta")` it leaves arange, linspace and the like alone: constructors compute with them.
    """

    _makers = frozenset({torch.empty, torch.zeros, torch.ones, torch.full, torch.randn, torch.rand})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in self._makers and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Within the block, new modules get parameters on the meta device: any size builds at once."""
    with _ParametersOnMeta():
        yield


class _NoInitialisation(TorchFunctionMode):
    _fillers = frozenset({Tensor.normal_, Tensor.uniform_, Tensor.erfinv_})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func in self._fillers else func(*args, **(kwargs or {}))


@contextmanager
def without_initialisation() -> Iterator[None]:
    """Within the block, parameters are not drawn at random: for networks whose weights are read right after."""
    with _NoInitialisation():
        yield


def input_channels(module: nn.Module) -> int:
    """Channels of the input, read from the first convolution; 3 when there is none."""
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Conv3d)):
            return part.in_channels
    return 3


def survey(module: nn.Module, input_size: tuple[int, int], name: str = "the network") -> Survey:
    """Note every layer of a forward over an input of (height, width), on the meta device where possible.

    The network itself is untouched. Raises `NetworkError` when it does not accept such an input.
    """
    channels = input_channels(module)
    try:
        if transform_of(module) is None:  # whose boxes depend on values
            return _survey(module, (1, channels, *input_size), meta=True)
    except Exception:  # whatever the meta device cannot do, a real forward can, or tells why not
        pass
    try:
        with economical(module, input_size) as size:
            return _survey(module, (1, channels, *size), meta=False)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise NetworkError(
            f"{name} does not accept a picture of {input_size[1]}×{input_size[0]}: {reason}",
            "--input-size WIDTHxHEIGHT sets another size; --fit squash uses the network's own",
        ) from error


def _survey(module: nn.Module, given: tuple[int, ...], meta: bool) -> Survey:
    seen: list[Seen] = []
    kept: list[Tensor] = []  # a tensor that lives keeps its id
    sizes = {path: sum(p.numel() for p in part.parameters()) for path, part in module.named_modules()}

    def record(path: str, part: nn.Module, inputs: Any, output: Any) -> None:
        out, into = first_tensor(output), first_tensor(inputs)
        if out is None:
            return
        kept.extend(tensor for tensor in (out, into) if tensor is not None)
        shape = out.shape if out.ndim == 4 and len(out) != 1 else out.shape[1:]  # of boxes, not of the picture
        seen.append(Seen(path, type(part).__name__, tuple(shape), sizes[path], id(out), id(into)))

    parts = {path: part for path, part in module.named_modules() if path}
    with borrowed(module), watch(parts, record), torch.no_grad():
        if meta:
            state = {k: v.to("meta") for k, v in [*module.named_parameters(), *module.named_buffers()]}
            output = torch.func.functional_call(module, state, (torch.empty(given, device="meta"),))
        else:
            device = next((p.device for p in module.parameters()), torch.device("cpu"))
            output = module(torch.zeros(given, device=device))
    result = first_tensor(output)
    return Survey(tuple(seen), (given[2], given[3]), tuple(result.shape[1:]) if result is not None else (), output)
