"""`camviz models`: the models that can be loaded by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer

from camviz.cli.console import Console
from camviz.cli.names import MODEL
from camviz.cli.options import Json
from camviz.cli.registry import command
from camviz.errors import RequestError, unknown

if TYPE_CHECKING:
    from camviz.models.sources import Offer

Pattern = Annotated[
    str | None,
    typer.Argument(
        metavar="PATTERN",
        help="Part of a name, or a glob: resnet, 'vit_*', 'timm:vit*', hf:.",
        show_default=False,
        autocompletion=MODEL.complete,
    ),
]
_SHOWN = 3  # weights of a model in a list of many
_EXTRAS = {"timm": "timm", "hf": "transformers"}  # prefix of a source, and the library it needs


@command(
    section="Lists",
    order=2,
    examples=(
        "camviz models",
        "camviz models resnet",
        "camviz models 'timm:vit*'",
    ),
)
def models(console: Console, pattern: Pattern = None, as_json: Json = False) -> None:
    """List models by name, with their task and weights.

    Shows which weights are already on this machine.

    Without a pattern: the bundled model, all of torchvision, and cached models of timm and the Hugging Face Hub.
    """
    from camviz.models.sources import LISTINGS

    offers = [offer for entry in LISTINGS for offer in entry.call()]
    chosen = [one for one in offers if _matches(one, pattern)]
    if pattern and not chosen:
        _check_installed(pattern)
        raise unknown("model", pattern, [one.name for one in offers], listing="'camviz models'")
    chosen.sort(key=lambda one: (one.name != "demo", ":" in one.name, one.name))
    if as_json:
        for one in chosen:
            facts = {"name": one.name, "task": one.task, "weights": list(one.weights), "cached": list(one.cached)}
            console.result(json.dumps(facts))
        return
    many = len(chosen) > 1
    console.table(
        ["model", "task", "weights", "on this machine"],
        [(one.name, one.task, _weights(one, many), ", ".join(one.cached) or "-") for one in chosen],
    )
    if not pattern:
        _say_more(console, offers)


def _matches(offer: Offer, pattern: str | None) -> bool:
    """Whether the pattern is part of the name, or matches it with or without the prefix of its source."""
    if pattern is None:
        return ":" not in offer.name or bool(offer.cached)
    wanted, name = pattern.lower(), offer.name.lower()
    return wanted in name or fnmatchcase(name, wanted) or fnmatchcase(name.partition(":")[2], wanted)


def _weights(offer: Offer, many: bool) -> str:
    """The names of the weights, the default marked; only the first few for a model with many."""
    names = sorted(offer.weights, key=lambda name: name != offer.default) if many else list(offer.weights)
    shown = names if not many or ":" not in offer.name else names[:_SHOWN]
    words = [f"{name} (default)" if name == offer.default and name != "default" else name for name in shown]
    more = [f"… {len(names)} in all"] if len(names) > len(shown) else []
    return ", ".join([*words, *more]) or "-"


def _check_installed(pattern: str) -> None:
    from camviz.models.sources import installed

    prefix = pattern.partition(":")[0]
    library = _EXTRAS.get(prefix)
    if ":" in pattern and library and not installed(library):
        raise RequestError(f"'{pattern}' needs {library}, which is not installed", f"pip install 'camviz[{prefix}]'")
    if pattern.startswith("hf:"):
        raise RequestError(
            f"no cached model matches '{pattern}'",
            "--model hf:OWNER/NAME downloads it; --model hf:FOLDER reads a folder",
        )


def _say_more(console: Console, offers: Sequence[Offer]) -> None:
    """Print what a listing without a pattern leaves out."""
    from camviz.models.sources import installed

    count = sum(offer.name.startswith("timm:") for offer in offers)
    if count:
        console.say(f"also: {count} timm models, listed by 'camviz models timm:'")
    else:
        console.say("also: timm models, after pip install 'camviz[timm]'")
    after = "" if installed("transformers") else ", after pip install 'camviz[hf]'"
    console.say(f"also: --model hf:FOLDER or hf:OWNER/NAME for transformers models{after}")
    console.say("also: --model net.py:Net for your own model, --checkpoint FILE for its weights")
