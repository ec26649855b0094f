"""`torch.export` archives (.pt2): a graph of operators with its weights. `program` checks them before torch reads."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from camviz.hooks.capture import first_tensor
from camviz.models.checkpoint.files import readable
from camviz.models.checkpoint.program import checked_archive


def read_exported(path: Path, allow_pickle: bool) -> Any:
    """Return the `ExportedProgram` in the archive. Raises `CheckpointError` where reading it would run code."""
    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with readable(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.load(str(path) if allow_pickle else checked_archive(path))
    finally:
        logger.setLevel(level)


def input_of(program: Any) -> tuple[int, ...]:
    """Return (channels, height, width) of the images that the program was exported with; () when it takes none."""
    names = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in names:
            sizes = node.meta["val"].shape
            return tuple(int(size) for size in sizes[1:]) if len(sizes) == 4 else ()  # asking the batch would fix it
    return ()


def modules_of(program: Any, shape: tuple[int, ...]) -> tuple[nn.Module, bool]:
    """Return the program as a module, and whether it takes several images at a time, so that it can be hooked."""
    module: nn.Module = torch.export.unflatten(program)
    module = module.eval() if _can_eval(module) else module
    image = torch.rand(1, *shape)
    try:
        with torch.no_grad():
            both = first_tensor(module(torch.cat([image, image])))
        return module, both is not None and both.shape[0] == 2
    except Exception:  # exported for one image
        return program.module(), False


def _can_eval(module: nn.Module) -> bool:
    """Whether `eval` works: an exported graph has no modes, and some of torch's classes for it refuse to set one."""
    try:
        module.eval()
    except NotImplementedError:
        return False
    return True
