"""What is no checkpoint file: damaged, truncated, a folder."""

from __future__ import annotations

import pytest
from safetensors.torch import save_file

from camviz.errors import CheckpointError
from tests.helpers.weights_files import read_state


def damaged(path, start: int, stop: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[start : int(len(content) * stop)])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.pth", b"", "is empty (0 bytes)"),
        ("a.safetensors", b"", "is empty (0 bytes)"),
        ("a.pth", b"<!DOCTYPE html><html>Sign in</html>", "is a web page"),
        ("a.pth", b"\n\n <html lang='en'>", "is a web page"),
        ("a.safetensors", b"<?xml version='1.0'?><Error>AccessDenied</Error>", "is a web page"),
        ("a.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
        ("a.pth", b"just words\n", "is damaged or not a checkpoint (11 bytes)"),
        ("a.pth", b"\x89PNG\r\n\x1a\n" + bytes(3000), "is damaged or not a checkpoint (3 kB)"),
        ("a.pth", b"PK\x03\x04" + bytes(100), "is damaged or not a checkpoint"),
        ("a.safetensors", b"\xff" * 100, "is not readable as safetensors"),
    ],
)
@pytest.mark.parametrize("allow_pickle", [False, True])
def test_what_is_no_checkpoint(tmp_path, name, content, says, allow_pickle):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_state(tmp_path / name, allow_pickle)
    assert says in caught.value.message
    assert str(tmp_path / name) in caught.value.message
    assert caught.value.hint
    assert "pickle" not in caught.value.hint


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("allow_pickle", [True, False])
def test_a_truncated_file(saved, share, zipped, allow_pickle):
    path = saved(_use_new_zipfile_serialization=zipped)
    damaged(path, 0, share)
    with pytest.raises(CheckpointError, match="is damaged"):
        read_state(path, allow_pickle)


def test_truncated_safetensors(net, tmp_path):
    save_file(net().state_dict(), tmp_path / "a.safetensors")
    damaged(tmp_path / "a.safetensors", 0, 0.5)
    with pytest.raises(CheckpointError, match="is not readable as safetensors"):
        read_state(tmp_path / "a.safetensors")


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint file") as caught:
        read_state(tmp_path / "gone.pth")
    assert caught.value.hint
    with pytest.raises(CheckpointError, match="is a folder"):
        read_state(tmp_path)
