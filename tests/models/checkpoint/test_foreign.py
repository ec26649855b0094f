"""Files of other programs are named."""

from __future__ import annotations

import pytest

from camviz.errors import CheckpointError
from camviz.models.checkpoint import check_file

FOREIGN = {
    "a.onnx": (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x10\n\x01x", "ONNX"),
    "onnx.bin": (b"\x08\x0a\x12\x07pytorch\x1a\x052.1.0:\x10\n\x01x", "ONNX"),
    "a.h5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
    "named.pth": (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
    "a.tflite": (bytes(4) + b"TFL3" + bytes(64), "TensorFlow Lite"),
    "a.engine": (b"ftrt" + bytes(64), "TensorRT"),
    "b.plan": (b"\x00\x01" + bytes(64), "TensorRT"),
    "a.pb": (b"\n\x10" + bytes(64), "TensorFlow"),
    "a.gguf": (b"GGUF" + bytes(64), "GGUF"),
    "a.npy": (b"\x93NUMPY" + bytes(64), "NumPy"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_other_programs_are_named(tmp_path, name):
    data, kind = FOREIGN[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=kind) as caught:
        check_file(tmp_path / name)
    assert "damaged" not in caught.value.message
    assert caught.value.hint
