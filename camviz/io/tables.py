"""Tables as text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any


def csv_text(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return CSV with a header line; None is an empty cell."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([columns, *rows])
    return buffer.getvalue()
