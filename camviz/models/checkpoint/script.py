"""TorchScript archives: a whole model in one file, its code included."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from camviz.errors import CamvizError, CheckpointError, ModelError, first_of
from camviz.hooks.capture import first_tensor
from camviz.models.checkpoint.files import check_bounds, damaged, readable
from camviz.models.checkpoint.interpret import Restored, agree, restored, with_layers
from camviz.models.checkpoint.script_code import check_code, check_graph

_INPUTS = ((3, 224), (1, 28), (3, 32), (1, 32), (3, 299), (3, 256), (3, 384), (1, 224), (3, 64), (3, 512), (3, 640))
Shape = tuple[int, int, int]  # channels, height, width


class Sealed(nn.Module):
    """A model whose layers cannot be hooked: an image goes in and scores come out.

    `sealed` is the reason, for messages. `single`: it takes one image at a time. `channels` are those of its input.
    """

    def __init__(self, inner: Any, channels: int, sealed: str, single: bool = False) -> None:
        super().__init__()
        self.__dict__["inner"] = inner  # not a child: its parts cannot be hooked, frozen or listed
        self.input_channels, self.sealed, self.single = channels, sealed, single
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)  # its device is the model's

    def forward(self, inputs: torch.Tensor) -> Any:
        """Return the model's output."""
        inner = self.__dict__["inner"]
        try:
            if not self.single or len(inputs) == 1:
                return inner(inputs)
            alone = [first_tensor(inner(inputs[i : i + 1])) for i in range(len(inputs))]
            return torch.cat([scores for scores in alone if scores is not None])
        except RuntimeError as error:
            raise RuntimeError(last_line(error)) from error

    def _apply(self, fn: Any, recurse: bool = True) -> Sealed:
        self.__dict__["inner"]._apply(fn)
        return cast(Sealed, super()._apply(fn, recurse))  # type: ignore[no-untyped-call]  # torch's

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the state of the inner model."""
        return self.__dict__["inner"].state_dict(*args, **kwargs)


@contextmanager
def _silence() -> Iterator[None]:
    """Within the block, what torch's own code writes to stderr past Python is not shown: warnings of old formats."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def read_script(path: Path, allow_pickle: bool = False) -> Any:
    """Return the model of a TorchScript archive, on the CPU. Raises `CheckpointError` where it may touch files."""
    with readable(path):
        if not allow_pickle:
            check_code(path)
        script = _load(path)
        if not allow_pickle:
            check_graph(path, script)
        check_bounds(path, script.state_dict().values())
    return script


def _load(path: Path) -> Any:
    try:
        with warnings.catch_warnings(), _silence():
            warnings.simplefilter("ignore")
            return torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]  # torch's
    except (RuntimeError, ValueError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next((line for line in reversed(lines) if "Error" in line), lines[0] if lines else "")
        if "Unknown builtin op" in str(error) or "operator" in reason:
            raise CheckpointError(
                f"checkpoint '{path}' is TorchScript with operators that are not here: {reason[:160]}",
                "where its code is, save model.state_dict(), and use --model net.py:Net --checkpoint FILE",
            ) from error
        raise damaged(path, RuntimeError(reason)) from error


def input_shape(module: Any, path: Path, size: tuple[int, int] | None, channels: int = 0) -> Shape:
    """Return an input (channels, height, width) that the model takes, by trying; `size` is (height, width)."""
    known = [(channels, *size)] if channels and size else []
    sides = [size] if size else []
    tried: list[Shape] = known or [(count, *side) for side in sides for count in (3, 1)]
    tried = tried or [(count, side, side) for count, side in _INPUTS if channels in (0, count)]
    reason = ""
    for shape in tried:
        try:
            with torch.no_grad():
                if first_tensor(module(torch.zeros(1, *shape))) is not None:
                    return shape
        except Exception as error:  # whatever a model raises for an input that it does not take
            reason = last_line(error)
    shown = first_of(("×".join(map(str, shape)) for shape in tried), 4)
    raise ModelError(
        f"'{path}' takes none of the inputs tried ({shown}): {reason[:120]}", "--input-size WIDTHxHEIGHT, as trained"
    )


def last_line(error: Exception) -> str:
    """Return the last line of TorchScript's long messages: the actual error."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__


def takes_several(module: Any, shape: Shape) -> bool:
    """Return whether two images at a time get the same scores as separately; a traced model may take one only."""
    inputs = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            both, alone = first_tensor(module(inputs)), first_tensor(module(inputs[:1]))
    except Exception:  # made for one
        return False
    if both is None or alone is None or both.shape[0] != 2 or alone.shape[0] != 1:
        return False
    return bool(torch.allclose(both[:1].float(), alone.float(), rtol=1e-2, atol=1e-2 * float(alone.abs().max())))


def with_hooks(script: Any, shape: Shape) -> Restored | None:
    """Return the model as a tree of modules that can be hooked, if its scores are the same; None otherwise."""
    if not list(script.children()):
        return None
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(2, *shape, generator=generator)
    try:
        module = restored(script).eval()
        if not agree(module, script, inputs):
            return None
        whole = with_layers(module)
    except Exception:  # code in a style that the walk does not know; the model itself still works
        return None
    return whole if agree(whole, script, inputs) else restored(script).eval()


def reaches(module: nn.Module, shape: Shape) -> bool:
    """Return whether a layer with a grid can be hooked, and the scores differentiated with respect to it."""
    from camviz.hooks.capture import borrowed, capture
    from camviz.models.layers import find_layers
    from camviz.types import Model, Preprocessing

    try:
        [layer] = find_layers(Model("", module, Preprocessing(shape[1:])), [])
        with borrowed(module), capture(module, [layer.path], gradients=True) as recorded:
            scores = first_tensor(module(torch.rand(1, *shape)))
            if scores is None:
                return False
            torch.autograd.grad(scores.sum(), recorded[layer.path])
    except (CamvizError, RuntimeError, KeyError, AttributeError, NotImplementedError):
        return False
    return True
