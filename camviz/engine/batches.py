"""Group images into batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def by_shape(items: Iterable[T], size: int, key: Callable[[T], Any]) -> Iterator[list[T]]:
    """Yield batches of at most `size` consecutive items with the same `key`, such as the input's shape."""
    group: list[T] = []
    for item in items:
        if group and (len(group) == size or key(group[0]) != key(item)):
            yield group
            group = []
        group.append(item)
    if group:
        yield group
