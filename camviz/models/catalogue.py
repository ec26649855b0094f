"""What the installed torchvision offers, read from its source text: no import of torch, so it takes milliseconds."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_MODEL = re.compile(
    r"^@register_model\((?:name=[\"'](?P<name>\w+)[\"'])?\)\n(?:@.*\n)*def (?P<function>\w+)\((?P<arguments>[^)]*)\)",
    re.MULTILINE,
)
_WEIGHTS = re.compile(r"^class (\w+)\(WeightsEnum\):\n(.*?)(?=^\S)", re.MULTILINE | re.DOTALL)
_MEMBER = re.compile(r"^    (\w+) = Weights\(\s*(?:#.*\n\s*)*url=[\"']([^\"']+)", re.MULTILINE)
_DEFAULT = re.compile(r"^    DEFAULT = (\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Listing:
    """One model of torchvision: its weights by name (oldest first) with their addresses, and the default."""

    name: str
    weights: dict[str, str] = field(default_factory=dict)
    default: str = ""


def _folder() -> Path | None:
    found = importlib.util.find_spec("torchvision")
    origin = found.origin if found else None
    return Path(origin).parent / "models" if origin else None


@cache
def classifiers() -> dict[str, Listing]:
    """Every image classifier of torchvision by name."""
    folder = _folder()
    listings: dict[str, Listing] = {}
    for file in sorted(folder.glob("*.py")) if folder else []:
        text = file.read_text("utf-8")
        enums = {}
        for enum, body in _WEIGHTS.findall(text + "\nend"):
            default = _DEFAULT.search(body)
            enums[enum] = (dict(_MEMBER.findall(body)), default.group(1) if default else "")
        for match in _MODEL.finditer(text):
            enum = re.search(r"(\w+_Weights)\]", match["arguments"])
            weights, default_name = enums.get(enum.group(1) if enum else "", ({}, ""))
            name = match["name"] or match["function"]
            listings[name] = Listing(name, weights, default_name)
    if not listings:  # a torchvision written in another style: ask it, slowly
        from torchvision import models

        for name in models.list_models(module=models):
            members = list(models.get_model_weights(name))
            urls = {member.name: member.url for member in members}
            listings[name] = Listing(name, urls, models.get_model_weights(name).DEFAULT.name)
    return dict(sorted(listings.items()))


@cache
def imagenet_labels() -> tuple[str, ...]:
    """The 1000 class names of ImageNet as torchvision spells them; empty when they cannot be read."""
    folder = _folder()
    if folder is None or not (folder / "_meta.py").exists():
        return ()
    for statement in ast.parse((folder / "_meta.py").read_text("utf-8")).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.List):
            names = ast.literal_eval(statement.value)
            if len(names) == 1000:
                return tuple(names)
    return ()


def weights_file(url: str) -> Path:
    """Where torch keeps the download of `url` (TORCH_HOME and XDG_CACHE_HOME are respected)."""
    cache_home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = Path(os.environ.get("TORCH_HOME", Path(cache_home) / "torch")).expanduser()
    return home / "hub" / "checkpoints" / url.rpartition("/")[2]
