"""The models of the installed timm, read from its source text: importing timm takes seconds."""

from __future__ import annotations

import csv
import importlib.util
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from camviz.models.catalog import imagenet_labels

_NAME = re.compile(r"^@register_model\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)
_COMMENT = re.compile(r"^\s*#.*\n", re.MULTILINE)
_CONFIG = re.compile(r"^\s+['\"](\w+(?:\.[\w*.-]*)?)['\"]\s*:\s*(?:(\w*cfg\w*|dict)\(|\{)", re.MULTILINE)
_WHERE = re.compile(r"\b(hf_hub_id|url|file)['\"]?\s*[=:]\s*['\"]([^'\"]+)['\"]")
_HELPER = re.compile(r"^def (\w*cfg\w*)\(.*?(?=^\S(?<!\)))", re.MULTILINE | re.DOTALL)
_CLASSES = re.compile(r"\bnum_classes['\"]?\s*[=:]\s*(\d+)")

# timm's files of class names by the number of classes
_SYNSETS = {
    11221: "imagenet21k_miil_synsets.txt",
    11821: "imagenet12k_synsets.txt",
    21841: "imagenet22k_synsets.txt",
    21842: "imagenet22k_ms_synsets.txt",
    21843: "imagenet21k_goog_synsets.txt",
}


@dataclass(frozen=True)
class Pretrained:
    """One set of weights: its location (a repository of the hub, or a URL) and number of classes.

    `classes` is None where the source text does not state it.
    """

    tag: str
    hub: str = ""
    url: str = ""
    classes: int | None = None


@dataclass(frozen=True)
class Architecture:
    """One architecture of timm with its configurations, the default first; some have no weights."""

    name: str
    configurations: tuple[Pretrained, ...] = ()

    @property
    def weights(self) -> tuple[Pretrained, ...]:
        """The configurations that have weights."""
        return tuple(configuration for configuration in self.configurations if configuration.hub or configuration.url)

    def find(self, tag: str) -> Pretrained | None:
        """Return the configuration with this tag; the default for ""."""
        if not tag:
            return self.configurations[0] if self.configurations else None
        return next((configuration for configuration in self.configurations if configuration.tag == tag), None)


def _folder() -> Path | None:
    spec = importlib.util.find_spec("timm")
    return Path(spec.origin).parent if spec and spec.origin else None


@cache
def architectures() -> dict[str, Architecture]:
    """Return every architecture of timm by name; empty when timm is not installed."""
    folder = _folder()
    names: list[str] = []
    by_stem: dict[str, list[tuple[str, Pretrained]]] = {}
    for file in sorted((folder / "models").glob("*.py")) if folder else []:
        text = file.read_text("utf-8")
        names += _NAME.findall(text)
        for key, configuration in _configurations(text):
            by_stem.setdefault(key.partition(".")[0], []).append((key, configuration))
    return {name: Architecture(name, _by_priority(by_stem.get(name, ()))) for name in sorted(names)}


def _configurations(text: str) -> Iterable[tuple[str, Pretrained]]:
    """Yield the entries of a file's `default_cfgs` with their keys; a star in the tag marks a default."""
    text = _COMMENT.sub("", text)
    stated = {match[1]: _CLASSES.search(match[0]) for match in _HELPER.finditer(text)}
    usual = {helper: int(hit[1]) for helper, hit in stated.items() if hit}
    matches = list(_CONFIG.finditer(text))
    starts = [*(match.start() for match in matches), len(text)]
    for match, end in zip(matches, starts[1:], strict=True):
        body = text[match.end() : end].partition("\n}")[0]
        where = dict(_WHERE.findall(body))
        key = match[1].replace("*", "")
        hub = where.get("hf_hub_id", "")
        stated_classes = _CLASSES.search(body)
        classes = (
            int(stated_classes[1])
            if stated_classes
            else usual.get(match[2] or "", usual.get("_cfg") if match[2] in stated else None)
        )
        yield (
            match[1],
            Pretrained(
                key.partition(".")[2],
                hub + key if hub.endswith("/") else hub,
                where.get("url", "") or where.get("file", ""),
                classes,
            ),
        )


def _by_priority(configurations: Sequence[tuple[str, Pretrained]]) -> tuple[Pretrained, ...]:
    """Order as timm does: an untagged entry with weights or a starred entry first, else the first with weights."""
    ordered: list[Pretrained] = []
    settled = weighted = False
    for key, configuration in configurations:
        has_weights = bool(configuration.hub or configuration.url)
        if (has_weights and not configuration.tag) or (key.endswith("*") and not settled):
            ordered.insert(0, configuration)
            settled = True
        elif has_weights and not weighted:
            ordered.insert(0, configuration)
        else:
            ordered.append(configuration)
        weighted = weighted or has_weights
    return tuple(ordered)


def task_of(architecture: str, classes: int) -> str:
    """Return the task of a model with that many outputs: embedding without classes and for CLIP models."""
    embeds = classes == 0 or ("clip" in architecture and not class_names(classes))
    return "embedding" if embeds else "classification"


@cache
def class_names(classes: int) -> tuple[str, ...]:
    """Return the class names of ImageNet's subsets by number of classes, as timm does; () for other numbers.

    The 1000 are spelled as in torchvision, where the two duplicates of timm are unique: the same --target and caption
    for both libraries. In the larger sets a class has its first synonym, or all synonyms, or the WordNet number as
    well where the shorter name would be ambiguous.
    """
    if classes == 1000:
        return imagenet_labels()
    folder = _folder()
    if classes not in _SYNSETS or folder is None:
        return ()
    info = folder / "data" / "_info"
    if not (info / _SYNSETS[classes]).is_file():
        return ()
    with (info / "imagenet_synset_to_lemma.txt").open(encoding="utf-8", newline="") as file:
        synonyms = dict(csv.reader(file, delimiter="\t"))
    synsets = (info / _SYNSETS[classes]).read_text("utf-8").split()
    full = [synonyms.get(synset, synset) for synset in synsets]
    first = [text.partition(",")[0] for text in full]
    firsts, fulls = Counter(first), Counter(full)
    return tuple(
        short if firsts[short] == 1 else text if fulls[text] == 1 else f"{text} ({synset})"
        for short, text, synset in zip(first, full, synsets, strict=True)
    )
