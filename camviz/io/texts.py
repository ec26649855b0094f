"""Names from strangers in texts: control characters are spelled out, JSON stays valid whatever a file is called."""

from __future__ import annotations

import json
import re
from typing import Any

# C0 but tab and line feed, DEL, C1 (8-bit CSI), bytes of names that are not UTF-8, overrides of the writing direction
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Return the text with control characters as escapes such as \\x1b; tabs and line feeds stay."""
    return _CONTROL.sub(lambda match: _escape(match[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def json_text(value: Any) -> str:
    """Return one line of JSON; a byte b of a name that is not UTF-8 is \\udcXX, as `os.fsencode` takes it back."""
    text = json.dumps(value, ensure_ascii=False)
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
