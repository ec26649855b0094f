"""Texts from strangers: small files of any content, and names with control characters."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from camviz.errors import RequestError
from camviz.io.paths import kind_of_entry

LARGEST = 64_000_000  # bytes of a file of labels, options or annotations of one image

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


def as_index(text: str) -> int | None:
    """Return the number that a text of up to nine decimal digits is; None for any other text."""
    return int(text) if len(text) < 10 and text.isdecimal() else None


def read_contents(path: Path, what: str, hint: str) -> bytes:
    """Return the contents of a small file, such as a "labels file".

    Raise `RequestError` for what cannot be read, and for what is larger than `LARGEST`, or has no end.
    """
    try:
        kind = kind_of_entry(path)
        if kind == "a folder" or (kind == "a named pipe" and not str(path).startswith("/dev/")) or kind == "a socket":
            raise RequestError(f"{what} '{path}' is {kind}", hint)
        with open(path, "rb") as file:  # of a process, too: --config <(command)
            data = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise RequestError(f"no {what} '{path}'", hint) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequestError(f"cannot read {what} '{path}': {reason}", f"ls -l '{path}'") from error
    if len(data) > LARGEST:
        raise RequestError(f"{what} '{path}' has more than {LARGEST // 1_000_000} MB", hint)
    return data


def read_text(path: Path, what: str, hint: str) -> str:
    """Return the text of a small file. Raises `RequestError`."""
    try:
        return read_contents(path, what, hint).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"{what} '{path}' is not UTF-8 text", "save it as UTF-8") from error


def parse_json(text: str, path: Path, what: str, hint: str) -> Any:
    """Return the value of JSON. Raises `RequestError` for anything else, and for what is nested too deeply."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of over 4300 digits
        raise RequestError(f"{what} '{path}' is not valid JSON: {reason_of(error)}", hint) from error


def reason_of(error: BaseException) -> str:
    """Return in a few words why a parser failed."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    return str(error).partition("\n")[0].partition(";")[0][:160] or type(error).__name__
