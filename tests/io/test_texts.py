"""Names from strangers in texts and JSON."""

from __future__ import annotations

import json
import os

import pytest

from camviz.io.texts import json_text, visible


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
