"""The models of the installed torchvision, read from its source text without importing torch."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
from collections.abc import Iterator
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
_CATEGORIES = re.compile(r"import .*?_(\w+)_CATEGORIES")
_TASKS = {  # by folder
    ".": "classification",
    "quantization": "quantized classification",
    "segmentation": "segmentation",
    "detection": "detection",
    "video": "video classification",
    "optical_flow": "optical flow",
}


@dataclass(frozen=True)
class Listing:
    """One model of torchvision: its weights by name (oldest first) with their URLs, and the default.

    `categories` is torchvision's name of the set of classes: IMAGENET, VOC, COCO, …
    """

    name: str
    weights: dict[str, str] = field(default_factory=dict)
    default: str = ""
    task: str = "classification"
    categories: str = ""


def _folder() -> Path | None:
    spec = importlib.util.find_spec("torchvision")
    origin = spec.origin if spec else None
    return Path(origin).parent / "models" if origin else None


@cache
def listings() -> dict[str, Listing]:
    """Return every model of torchvision by name."""
    folder = _folder()
    by_name: dict[str, Listing] = {}
    for file in sorted(folder.rglob("*.py")) if folder else []:
        assert folder is not None
        task = _TASKS.get(str(file.parent.relative_to(folder)), "")
        if task:
            by_name.update((listing.name, listing) for listing in _listings_of(file.read_text("utf-8"), task))
    if not by_name:  # the source has another style: ask torchvision itself, which is slow
        from torchvision import models

        for name in models.list_models(module=models):
            members = list(models.get_model_weights(name))
            urls = {member.name: member.url for member in members}
            by_name[name] = Listing(name, urls, models.get_model_weights(name).DEFAULT.name, categories="IMAGENET")
    return dict(sorted(by_name.items()))


def _listings_of(text: str, task: str) -> Iterator[Listing]:
    """Yield the models that a source file of torchvision registers."""
    enums = {}
    for enum, body in _WEIGHTS.findall(text + "\nend"):
        default = _DEFAULT.search(body)
        enums[enum] = (dict(_MEMBER.findall(body)), default.group(1) if default else "")
    categories = _CATEGORIES.search(text)
    for match in _MODEL.finditer(text):
        enum = re.search(r"(\w+Weights)\b", match["arguments"].partition("weights:")[2])
        weights, default_name = enums.get(enum.group(1) if enum else "", ({}, ""))
        name = match["name"] or match["function"]
        yield Listing(name, weights, default_name, task, categories[1] if categories else "")


@cache
def classifiers() -> dict[str, Listing]:
    """Return every image classifier of torchvision by name."""
    return {name: listing for name, listing in listings().items() if listing.task == "classification"}


@cache
def class_names(categories: str) -> tuple[str, ...]:
    """Return the class names of a set of torchvision, such as "COCO"; empty when they cannot be read."""
    folder = _folder()
    if folder is None or not (folder / "_meta.py").exists():
        return ()
    for statement in ast.parse((folder / "_meta.py").read_text("utf-8")).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.List):
            [target] = statement.targets
            if isinstance(target, ast.Name) and target.id == f"_{categories}_CATEGORIES":
                return tuple(ast.literal_eval(statement.value))
    return ()


def imagenet_labels() -> tuple[str, ...]:
    """Return the 1000 class names of ImageNet in torchvision's spelling; empty when they cannot be read."""
    return class_names("IMAGENET")


def weights_file(url: str) -> Path:
    """Return the path of torch's download of `url` (TORCH_HOME and XDG_CACHE_HOME are respected)."""
    cache_home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = Path(os.environ.get("TORCH_HOME", Path(cache_home) / "torch")).expanduser()
    return home / "hub" / "checkpoints" / url.rpartition("/")[2]
