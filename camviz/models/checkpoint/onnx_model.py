"""ONNX models, run by onnxruntime: an image goes in and scores come out, without layers and without gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from camviz.errors import CheckpointError
from camviz.models.checkpoint.files import readable
from camviz.models.checkpoint.script import Sealed, input_shape

_TYPES = {"tensor(float)": torch.float32, "tensor(float16)": torch.float16, "tensor(double)": torch.float64}


class Session(nn.Module):
    """A module that gives its input to onnxruntime, and returns the output, or all of them by name."""

    def __init__(self, session: Any) -> None:
        super().__init__()
        self.session = session
        self.input = session.get_inputs()[0]

    def forward(self, images: torch.Tensor) -> Any:
        """Return what the model computes for (n, c, h, w), on the device of the images."""
        values = images.detach().to("cpu", _TYPES[self.input.type]).numpy()
        results = [
            torch.from_numpy(array).to(images.device) for array in self.session.run(None, {self.input.name: values})
        ]
        if len(results) == 1:
            return results[0]
        return {output.name: result for output, result in zip(self.session.get_outputs(), results, strict=True)}


def read_onnx(path: Path, size: tuple[int, int] | None) -> tuple[Sealed, tuple[int, int, int]]:
    """Return the model and (channels, height, width) of its input; `size` is (height, width) where it leaves that open.

    Raises `CheckpointError` for a file that onnxruntime cannot read or whose input is no image.
    """
    import onnxruntime  # type: ignore[import-not-found, unused-ignore]  # optional

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    with readable(path):  # from bytes: other files that a model names are not opened
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in _TYPES:
        shown = ", ".join(f"{item.name} {item.type} {item.shape}" for item in inputs)
        raise CheckpointError(
            f"'{path}' does not take one batch of images ({shown})", "export a model of one input (images, c, h, w)"
        )
    module = Session(session).eval()
    count, channels, *sides = inputs[0].shape
    fixed = (sides[0], sides[1]) if all(isinstance(side, int) for side in sides) else size
    shape = input_shape(module, path, fixed, channels if isinstance(channels, int) else 0)
    why = f"'{path.name}' is an ONNX model, which onnxruntime runs without layers or gradients"
    return Sealed(module, shape[0], why, count == 1), shape
