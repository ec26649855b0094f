"""The names that options and arguments take: accepted in any spelling, and completed by the shell.

`autocompletion=METHOD.complete` in the declaration of an option is all that an option needs for both. Nothing here
imports torch, and nothing is imported before a name is typed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from camviz.errors import match

Known = Callable[[str], Iterable[str]]  # from the text typed so far to the names that it can mean


@dataclass(frozen=True)
class Names:
    """What an option may be given. Other values stay as typed: they may be files, or are refused where they are used.

    `several`: a comma-separated list; `aliases`: further names, by what they stand for, that are not completed.
    """

    noun: str
    known: Known
    several: bool = False
    aliases: Callable[[], Mapping[str, str]] = field(default=dict)

    def find(self, text: str) -> str | None:
        """Return the name that a text spells, None if there is none. Raises `UnknownName` for an ambiguous one."""
        return match(self.noun, text, self.known(text), self.aliases())

    def canonical(self, text: str) -> str:
        """Return the text with each name as it is registered. Raises `UnknownName` for an ambiguous one."""
        if self.several and "," in text:
            return ",".join(self.canonical(part.strip()) for part in text.split(","))
        return self.find(text) or text

    def complete(self, incomplete: str) -> list[str]:
        """Return the names that begin with the incomplete text; of a list, with its last part."""
        done, comma, last = incomplete.rpartition(",") if self.several else ("", "", incomplete)
        return [done + comma + name for name in self.known(last) if name.startswith(last)]


def _methods(_: str) -> list[str]:
    from camviz.methods import GROUPS, METHODS

    return [*METHODS.names(), *GROUPS]


def _method_aliases() -> Mapping[str, str]:
    from camviz.methods import METHODS

    return METHODS.aliases()


def _metrics(_: str) -> list[str]:
    from camviz.metrics import GROUPS, METRICS

    return [*METRICS.names(), *GROUPS]


def _metric_aliases() -> Mapping[str, str]:
    from camviz.metrics import METRICS

    return METRICS.aliases()


def _models(text: str) -> list[str]:
    """The models of all sources for "timm:…", otherwise those that need no prefix; none for a file."""
    from camviz.models.catalog import listings
    from camviz.models.sources import LISTINGS, SOURCES

    if os.path.exists(text):
        return []
    prefix, colon, _ = text.partition(":")
    if not colon:
        return ["demo", *listings()]
    return [offer.name for entry in LISTINGS for offer in entry.call()] if prefix in SOURCES else []


def _layouts(_: str) -> list[str]:
    from camviz.render import RENDERERS

    return RENDERERS.names()


def _colormaps(_: str) -> Iterable[str]:
    from camviz.render import colormap_names

    return colormap_names()


def _formats(_: str) -> list[str]:
    from camviz.render import animation, paper

    return [*paper.FORMATS, *animation.FORMATS]


def _tasks(_: str) -> list[str]:
    from camviz.tasks import TASKS

    return TASKS.names()


def _devices(_: str) -> list[str]:
    devices = sorted(Path("/dev").glob("nvidia[0-9]*"))
    return ["auto", "cpu", "cuda", *(f"cuda:{number}" for number in range(len(devices))), "mps"]


def choices(noun: str, *values: str) -> Names:
    """The names of an option that takes a few fixed values, or others than names."""
    return Names(noun, lambda _: values)


METHOD = Names("method", _methods, several=True, aliases=_method_aliases)
METRIC = Names("metric", _metrics, several=True, aliases=_metric_aliases)
MODEL = Names("model", _models)
LAYOUT = Names("layout", _layouts)
COLORMAP = Names("colormap", _colormaps)
FORMAT = Names("format", _formats)
TASK = Names("task", _tasks)
DEVICE = Names("device", _devices)
WEIGHTS = Names("weights", lambda _: ("default", "none", "random"), aliases=lambda: {"shuffled": "random"})
SCALE = choices("scale", "image", "row", "run", "fixed:1")
