"""Names from strangers in texts and JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from camviz.errors import RequestError
from camviz.io import texts
from camviz.io.texts import as_index, json_text, read_contents, read_text, visible


def test_control_characters_are_spelled_out():
    assert visible("a\tb\nc") == "a\tb\nc"
    assert visible("\x1b[31m\r\x7f\x9b\x00") == "\\x1b[31m\\x0d\\x7f\\x9b\\x00"
    assert visible("猫 é ‏עברית") == "猫 é ‏עברית"
    assert visible(os.fsdecode(b"\xff\x9b")) == "\\xff\\x9b"


@pytest.mark.parametrize("name", [b"x\xffy.png", b"\xc3(\x9b31m", "猫\x1b\x7f\x9b\u2028.png".encode()])
def test_json_is_valid_and_the_name_comes_back(name):
    text = json_text({"path": os.fsdecode(name)})
    line = text.encode("utf-8")  # strict
    assert os.fsencode(json.loads(line.decode("utf-8"))["path"]) == name
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "index"), [("0", 0), ("007", 7), ("²", None), ("-1", None), ("9" * 5000, None), ("", None)]
)
def test_an_index_is_a_short_decimal_number(text, index):
    assert as_index(text) == index


def test_a_small_file_that_has_no_end(monkeypatch):
    monkeypatch.setattr(texts, "LARGEST", 10_000)
    with pytest.raises(RequestError, match="'/dev/zero' has more than"):
        read_contents(Path("/dev/zero"), "labels file", "hint")


@pytest.mark.parametrize(("make", "reason"), [(os.mkfifo, "is a named pipe"), (os.mkdir, "is a folder")])
def test_a_pipe_or_folder_is_not_waited_for(tmp_path, make, reason):
    make(tmp_path / "odd")
    with pytest.raises(RequestError, match=reason):
        read_contents(tmp_path / "odd", "labels file", "hint")


def test_links_and_permissions_have_their_reason(tmp_path, monkeypatch):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(RequestError, match="symbolic links"):
        read_contents(tmp_path / "loop", "labels file", "hint")

    def forbid(*_arguments):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "closed").touch()
    monkeypatch.setattr("builtins.open", forbid)
    with pytest.raises(RequestError, match="Permission denied") as caught:
        read_contents(tmp_path / "closed", "labels file", "hint")
    assert caught.value.hint.startswith("ls -l")


def test_the_pipe_of_a_shell_is_read():
    reading, writing = os.pipe()
    os.write(writing, b"cat")
    os.close(writing)
    assert read_text(Path(f"/dev/fd/{reading}"), "labels file", "hint") == "cat"
    os.close(reading)
