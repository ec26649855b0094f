"""The images of a command, listed once: for the checks before a model is loaded, for the run, and for the count."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from camviz.errors import InputError
from camviz.io.inputs import Input
from camviz.io.opening import no_file


class Listing(Iterator[Input]):
    """An iterator over inputs that can look ahead. `counted` chooses the images that `total` counts."""

    def __init__(self, inputs: Iterable[Input], counted: Callable[[str], bool] = lambda _name: True) -> None:
        self._inputs, self._counted = iter(inputs), counted
        self._ahead: deque[Input] = deque()  # listed and not taken yet
        self._lock = threading.Lock()
        self._count = self._listed = 0
        self._error: BaseException | None = None
        self._ended = False

    def __next__(self) -> Input:
        with self._lock:
            if self._ahead:
                return self._ahead.popleft()
            return self._list_next()

    def _list_next(self) -> Input:
        if self._error:
            raise self._error
        try:
            source = next(self._inputs)
        except StopIteration:
            self._ended = True
            raise
        except BaseException as error:
            self._error = error
            raise
        self._listed += 1
        self._count += self._counted(source.name)
        return source

    def missing(self) -> list[InputError]:
        """Return the errors of the inputs where not one of them exists, else nothing. Lists up to the first."""
        errors: list[InputError] = []
        with self._lock:
            while True:
                try:
                    source = self._list_next()
                except StopIteration:
                    return errors
                self._ahead.append(source)
                if source.error is None and os.path.lexists(source.path):
                    return []
                errors.append(source.error or no_file(source.path))

    def at_most(self, count: int) -> bool:
        """Return whether there are at most `count` inputs; lists ahead as far as needed."""
        with self._lock:
            while self._listed <= count:
                try:
                    self._ahead.append(self._list_next())
                except Exception:  # the end, or an error that is raised again to whoever takes the inputs
                    return True
        return False

    def list_all(self) -> int | None:
        """List the rest ahead and return how many images there are; None where listing fails."""
        while not self._ended:
            with self._lock:
                try:
                    self._ahead.append(self._list_next())
                except StopIteration:
                    break
                except Exception:  # raised again to whoever takes the inputs
                    return None
        return self._count
