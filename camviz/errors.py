"""Everything camviz raises on purpose. The library raises, the command line speaks.

CamvizError                a message that quotes what was given, and a hint: what to give instead
├── RequestError           the request itself is wrong, nothing was computed            exit status 2
│   ├── UnknownName        a model, layer, method, class or option that does not exist
│   ├── CheckpointError    a file of weights that cannot be read, or does not fit
│   ├── WeightsError       weights that cannot be had here
│   ├── ModelError       a model, or a method on this model, that cannot work as asked
│   ├── DeviceError        a device or precision this machine does not have
│   └── OutputError        an output folder that cannot be written
├── InputError             one image that cannot be used; the others go on            exit status 1
│   └── NothingFound       the target is not in the image, such as no detection; that image counts as done
└── RunError               a run that could not go on; what is done stays done        exit status 1
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class CamvizError(Exception):
    """Base of every error camviz raises. `hint` is one line, something to type."""

    exit_status: ClassVar[int] = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[CamvizError], tuple[str, str]]:
        return type(self), (self.message, self.hint)


class RequestError(CamvizError):
    """The request itself is wrong."""


class UnknownName(RequestError):
    """A name that is not among the known ones; see `unknown`."""


class CheckpointError(RequestError):
    """A file of weights that cannot be read, is not trusted, or does not fit the model."""


class WeightsError(RequestError):
    """Weights that exist but cannot be had here, such as a download without a network."""


class ModelError(RequestError):
    """This model cannot be used as asked (no such kind of output, layer or head)."""


class DeviceError(RequestError):
    """A device or precision that is not available."""


class OutputError(RequestError):
    """The output folder cannot be used."""


class InputError(CamvizError):
    """One image that cannot be used."""

    exit_status = 1


class NothingFound(InputError):
    """The image has nothing of what is to be explained, such as no detection above the threshold."""


class RunError(CamvizError):
    """A run that stopped under way, such as on a cluster that is gone. Run again, it resumes."""

    exit_status = 1


def closest(typed: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` known names that look like `typed`, the likeliest first."""
    by_folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(typed.casefold(), by_folded, n=count, cutoff=0.6)
    return [by_folded[name] for name in found]


def unknown(noun: str, typed: str, known: Iterable[str], where: str = "", listing: str = "") -> UnknownName:
    """The error for a name that does not exist: "no layer 'layr4' in resnet50", with "did you mean"."""
    message = f"no {noun} '{typed}'" + (f" in {where}" if where else "")
    known = list(known)
    near = closest(typed, known)
    parts = []
    if near:
        parts.append(f"did you mean {' or '.join(repr(name) for name in near)}?")
    if listing:
        parts.append(f"{listing} lists all")
    if not parts:
        parts.append(_first(known))
    return UnknownName(message, " ".join(parts))


def _first(known: list[str], count: int = 6) -> str:
    """A hint for a name that resembles nothing."""
    listed = ", ".join(repr(name) for name in known[:count]) or "nothing"
    return f"there is {listed}" + (f", … ({len(known)} in all)" if len(known) > count else "")
