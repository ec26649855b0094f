"""Tables as text, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # how a cell begins that is computed


def cell(value: Any) -> Any:
    """Return the value of a cell, text that a spreadsheet would compute with an apostrophe before it; numbers stay."""
    if not isinstance(value, str):
        return value
    text = value.replace("\r", "\\x0d")  # the csv module does not quote it, and readers end the line there
    try:
        float(text)
    except ValueError:
        return f"'{text}" if value.startswith(_FORMULA) else text
    return text


def csv_text(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return CSV with a header line; None is an empty cell."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([cell(value) for value in row] for row in [columns, *rows])
    return buffer.getvalue()
