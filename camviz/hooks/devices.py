"""Device, precision and default batch size."""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, get_args

from camviz.errors import DeviceError, RequestError
from camviz.types import Precision

if TYPE_CHECKING:
    import torch


def check_device(name: str) -> None:
    """Raise `DeviceError` for a name that is no device, without importing torch."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise DeviceError(f"no device '{name}'", "use auto, cpu, cuda, cuda:N or mps")


def pick_device(name: str = "auto") -> torch.device:
    """Return the device `name`; "auto" takes CUDA, then MPS, then the CPU.

    Of several CUDA devices, "auto" and "cuda" take the local rank that torchrun or srun set for this process.
    """
    import torch

    check_device(name)
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name in ("auto", "cuda") and cuda and (rank := local_rank()) is not None:
        return torch.device("cuda", rank % torch.cuda.device_count())  # a process may see only its own device
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    if name.startswith("cuda"):
        count = torch.cuda.device_count() if cuda else 0
        number = int(name.partition(":")[2] or 0)
        if number >= count:
            have = f"it has {count} CUDA device(s)" if count else "PyTorch finds no CUDA device"
            raise DeviceError(f"no device '{name}' on this machine: {have}", "use --device auto or --device cpu")
    if name == "mps" and not mps:
        raise DeviceError("no device 'mps' on this machine", "use --device auto or --device cpu")
    return torch.device(name)


def local_rank() -> int | None:
    """Return the rank of this process on this machine, from 0; None outside torchrun and srun."""
    for rank, size in (("LOCAL_RANK", "WORLD_SIZE"), ("SLURM_LOCALID", "SLURM_STEP_NUM_TASKS")):
        here, all_of_them = os.environ.get(rank, ""), os.environ.get(size, "")
        if here.isdecimal() and all_of_them.isdecimal() and int(all_of_them) > 1:
            return int(here)
    return None


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return an autocast context for `precision`; maps and scores are converted to float32 after it."""
    import torch

    if precision not in get_args(Precision):
        raise RequestError(f"no precision '{precision}'", "use fp32, bf16 or fp16")
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16 if precision == "bf16" else torch.float16)


def default_batch_size(device: str) -> int:
    """Return the default number of images per forward. On a CPU more than two are no faster."""
    return 2 if device == "cpu" else 32
