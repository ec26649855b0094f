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
    r"^@register_model\((?:name=[\"'](?P<name>\w+)[\"'])?\)\n(?:(?!def ).*\n)*?"
    r"def (?P<function>\w+)\((?P<arguments>[^)]*)\)",
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
    listings = _listed("")
    if not listings:  # a torchvision written in another style: ask it, slowly
        from torchvision import models

        for name in models.list_models(module=models):
            members = list(models.get_model_weights(name))
            urls = {member.name: member.url for member in members}
            listings[name] = Listing(name, urls, models.get_model_weights(name).DEFAULT.name)
    return listings


@cache
def detectors() -> dict[str, Listing]:
    """Every detector of torchvision by name, with or without masks or keypoints."""
    return _listed("detection")


@cache
def segmenters() -> dict[str, Listing]:
    """Every network for semantic segmentation of torchvision by name."""
    return _listed("segmentation")


def _listed(below: str) -> dict[str, Listing]:
    """The models that the files of a folder register."""
    folder = _folder()
    listings: dict[str, Listing] = {}
    for file in sorted((folder / below).glob("*.py")) if folder else []:
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
    return dict(sorted(listings.items()))


@cache
def labels_of(count: int) -> tuple[str, ...]:
    """torchvision's class names by their number: 1000 of ImageNet, 91 of COCO (2: people alone), 21 of Pascal VOC.

    Empty when they cannot be read.
    """
    folder = _folder()
    if folder is None or not (folder / "_meta.py").exists():
        return ()
    for statement in ast.parse((folder / "_meta.py").read_text("utf-8")).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.List):
            names = ast.literal_eval(statement.value)
            if len(names) == count:
                return tuple(names)
    return ()


def imagenet_labels() -> tuple[str, ...]:
    """The 1000 class names of ImageNet as torchvision spells them; empty when they cannot be read."""
    return labels_of(1000)


def weights_file(url: str) -> Path:
    """Where torch keeps the download of `url` (TORCH_HOME and XDG_CACHE_HOME are respected)."""
    cache_home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = Path(os.environ.get("TORCH_HOME", Path(cache_home) / "torch")).expanduser()
    return home / "hub" / "checkpoints" / url.rpartition("/")[2]
