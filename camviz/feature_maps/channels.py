"""Parse channel lists such as 3,17,40-60."""

from __future__ import annotations

import re
from collections.abc import Sequence

from camviz.errors import RequestError, UnknownName

_EXAMPLE = "type numbers and ranges, as in 3,17,40-60"


def read_channels(texts: Sequence[str]) -> list[tuple[str, range]]:
    """Return every typed number or range as (text, range); needs no model."""
    ranges = []
    for part in (part.strip() for text in texts for part in text.split(",")):
        numbers = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", part, re.ASCII)
        if not numbers:
            raise RequestError(f"'{part}' is not a channel number or range", _EXAMPLE)
        first, last = int(numbers[1]), int(numbers[2] or numbers[1])
        if last < first:
            raise RequestError(f"the range of channels '{part}' is reversed", f"type {last}-{first}")
        ranges.append((part, range(first, last + 1)))
    return ranges


def parse_channels(texts: Sequence[str], count: int, layer: str, noun: str = "channel") -> list[int]:
    """Return the typed channels (or heads) of a layer with `count` of them, in the order typed, without duplicates."""
    channels: dict[int, None] = {}
    for typed, numbers in read_channels(texts):
        if numbers[-1] >= count:
            have = f"0 to {count - 1}" if count > 1 else "only 0"
            raise UnknownName(f"no {noun} '{typed}' in layer '{layer}'", f"it has {have}; {_EXAMPLE}")
        channels.update(dict.fromkeys(numbers))
    return list(channels)
