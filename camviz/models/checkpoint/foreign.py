"""Files of other programs that people give as weights: named for what they are, with the way to a model."""

from __future__ import annotations

from pathlib import Path

from camviz.errors import CheckpointError

_STATE = "load it where it was made, save model.state_dict(), and use --model net.py:Net --checkpoint FILE"
_KERAS = "camviz explains PyTorch models: convert the weights to a state_dict for the same model in PyTorch"
_ONNX = "pip install onnxruntime, then --model FILE.onnx --method rise, or occlusion; layers need a state_dict"
_SUFFIXES = {
    ".onnx": ("an ONNX model", _ONNX),
    ".h5": ("an HDF5 file (Keras)", _KERAS),
    ".hdf5": ("an HDF5 file (Keras)", _KERAS),
    ".keras": ("a Keras model", _KERAS),
    ".tflite": ("a TensorFlow Lite model", _KERAS),
    ".pb": ("a TensorFlow graph", _KERAS),
    ".engine": ("a TensorRT engine", "it runs on the GPU it was built for and has no gradients: " + _STATE),
    ".plan": ("a TensorRT engine", "it runs on the GPU it was built for and has no gradients: " + _STATE),
    ".trt": ("a TensorRT engine", "it runs on the GPU it was built for and has no gradients: " + _STATE),
    ".mlmodel": ("a Core ML model", _STATE),
    ".gguf": ("a GGUF file of a language model", "camviz explains models of images"),
    ".npz": ("a NumPy archive", "torch.save({name: torch.from_numpy(array), …}) makes a checkpoint of it"),
    ".npy": ("a NumPy array", "torch.save({name: torch.from_numpy(array), …}) makes a checkpoint of it"),
    ".pdparams": ("a PaddlePaddle checkpoint", _KERAS),
    ".caffemodel": ("a Caffe model", _KERAS),
    ".mar": ("a TorchServe archive", "unzip it; the weights are a .pth or .pt file inside"),
}
_MARKS = (  # (offset, bytes, suffix that describes them)
    (0, b"\x89HDF\r\n\x1a\n", ".h5"),
    (4, b"TFL3", ".tflite"),
    (0, b"ftrt", ".engine"),
    (0, b"ptrt", ".engine"),
    (0, b"GGUF", ".gguf"),
    (0, b"\x93NUMPY", ".npy"),
)


def is_onnx(start: bytes) -> bool:
    """Return whether the first bytes of a file are those of an ONNX model: a small version, then another field."""
    return len(start) > 2 and start[0] == 0x08 and start[1] < 32 and start[2] in (0x10, 0x12, 0x1A, 0x22, 0x3A, 0x42)


def refuse_foreign(path: Path, start: bytes, names: list[str]) -> None:
    """Raise `CheckpointError` for a file of another program; `names` are the entries of a zip archive."""
    suffix = next((kind for offset, mark, kind in _MARKS if start[offset:].startswith(mark)), "")
    if "model.weights.h5" in names:
        suffix = ".keras"
    elif names and all(name.endswith(".npy") for name in names):
        suffix = ".npz"
    elif not suffix and not names and not start.startswith(b"\x80") and start[8:9] != b"{":
        suffix = path.suffix.lower()
    if is_onnx(start):
        suffix = ".onnx"
    if suffix in _SUFFIXES:
        kind, hint = _SUFFIXES[suffix]
        raise CheckpointError(f"'{path}' is {kind}, not a PyTorch checkpoint", hint.replace("FILE.onnx", str(path)))
