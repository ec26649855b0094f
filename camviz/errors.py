"""The errors that camviz raises, and the matching of names that its messages and its registries share.

CamvizError                a message that quotes the value, and a hint: a value that works
├── RequestError           the request is wrong; nothing was computed                   exit status 2
│   ├── UnknownName        a model, layer, method, class or option that does not exist (UnknownKeyword: in Python)
│   ├── CheckpointError    a weights file that cannot be read or does not fit the model
│   ├── WeightsError       weights that are not available on this machine
│   ├── ModelError         a model that does not support the request
│   ├── DeviceError        a device or precision that this machine does not have
│   └── OutputError        an output folder that cannot be written
├── InputError             one image that cannot be used; the others are computed       exit status 1
│   └── NothingFound       the image has no such target, such as no detection; it counts as done
└── RunError               a run that stopped; finished images are kept                 exit status 1
"""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Iterable, Mapping
from typing import ClassVar

CODE = ":\n\n"  # before lines of code in a hint


class CamvizError(Exception):
    """Base class of all errors that camviz raises. `hint` is what to type instead: one line, and behind `CODE` code."""

    exit_status: ClassVar[int] = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[CamvizError], tuple[str, str]]:
        return type(self), (self.message, self.hint)


class RequestError(CamvizError):
    """The request is wrong; nothing was computed."""


class UnknownName(RequestError):
    """A name that does not exist; see `unknown`."""


class UnknownKeyword(UnknownName, TypeError):
    """A keyword of a Python function that does not exist."""


class CheckpointError(RequestError):
    """A weights file that cannot be read, is not trusted, or does not fit the model."""


class WeightsError(RequestError):
    """Weights that are not available on this machine, such as a download without a network."""


class ModelError(RequestError):
    """The model does not support the request (kind of output, layer or head)."""


class DeviceError(RequestError):
    """A device or precision that this machine does not have."""


class OutputError(RequestError):
    """The output folder cannot be written."""


class InputError(CamvizError):
    """One image that cannot be used; the others are computed."""

    exit_status = 1


class NothingFound(InputError):
    """The image has nothing of what is to be explained, such as no detection above the threshold."""


class RunError(CamvizError):
    """A run that stopped, for example because its cluster is gone. The same command resumes it."""

    exit_status = 1


def system_error(error: BaseException) -> tuple[str, str] | None:
    """Return message and hint for what the machine refuses, such as reading a file; None for other errors."""
    text = str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"cannot write: {error.strerror}", "free some space and run it again to resume"
    if isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY):
        return "not enough memory", "free some memory, or raise the limit that 'ulimit -v' shows"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename)
        return f"cannot use '{name}': {error.strerror}", f"ls -ld '{name}'"
    return None


_NO_MEMORY = ("annot allocate memory", "failed to map segment", "can't start new thread", "can't allocate memory")
_AMERICAN = {"grey": "gray", "colour": "color", "isation": "ization", "centre": "center"}


def spell(name: str) -> str:
    """Return a name in lower case and American spelling, with a space for each hyphen, underscore or space."""
    words = re.sub(r"[-_\s]+", " ", name.casefold())
    return re.sub("|".join(_AMERICAN), lambda british: _AMERICAN[british[0]], words)


def fold(name: str) -> str:
    """Return what all spellings of a name share: `spell` without spaces."""
    return spell(name).replace(" ", "")


def closest(typed: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` known names that resemble `typed`, the most similar first."""
    by_folded = {fold(name): name for name in known}
    folded = difflib.get_close_matches(fold(typed), by_folded, n=count, cutoff=0.6)
    return [by_folded[name] for name in folded]


def match(noun: str, typed: str, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> str | None:
    """Return the known name that `typed` means, None if there is none.

    The name itself wins; otherwise any spelling with the same `fold`, of a known name or of one of the `aliases`
    (alias to name). Raises `UnknownName` that lists all if several fit.
    """
    known = list(known)
    if typed in known:
        return typed
    folded = fold(typed)
    fitting = {name: None for name in known if fold(name) == folded}
    fitting |= {name: None for alias, name in (aliases or {}).items() if fold(alias) == folded}
    if len(fitting) > 1:
        names = " or ".join(repr(name) for name in fitting)
        raise UnknownName(f"{noun} '{typed}' is ambiguous: {names}", f"type {names}")
    return next(iter(fitting), None)


def did_you_mean(names: Iterable[str]) -> str:
    """Return "did you mean 'a' or 'b'?", "" without names."""
    quoted = " or ".join(repr(name) for name in names)
    return f"did you mean {quoted}?" if quoted else ""


def first_of(names: Iterable[str], count: int = 6) -> str:
    """Return the first names, separated by commas, and "…" where there are more."""
    names = list(names)
    return ", ".join([*names[:count], *["…"] * (len(names) > count)])


def unknown(noun: str, typed: str, known: Iterable[str], where: str = "", listing: str = "") -> UnknownName:
    """Return the error for a name that does not exist: "no layer 'layr4' in resnet50", with the closest names."""
    message = f"no {noun} '{typed}'" + (f" in {where}" if where else "")
    known = list(known)
    parts = [did_you_mean(closest(typed, known)), f"{listing} lists all" if listing else ""]
    return UnknownName(message, " ".join(part for part in parts if part) or _first(known))


def check_keywords(typed: Iterable[str], known: Iterable[str], elsewhere: Mapping[str, str]) -> None:
    """Raise `UnknownKeyword` for a keyword that is not known; `elsewhere` has what to write instead of some."""
    known = list(known)
    for name in typed:
        if name not in known:
            error = unknown("keyword", name, known)
            raise UnknownKeyword(error.message, elsewhere.get(name, error.hint))


def _first(known: list[str], count: int = 6) -> str:
    """The hint for a name that resembles none of the known ones."""
    listed = first_of(map(repr, known), count) + (f" ({len(known)} in all)" if len(known) > count else "")
    return f"choose from {listed}" if known else "there are none to choose from"
