"""Saliency methods: each is one decorated function from a `Probe` to raw maps, after the formula of its paper.

A method returns maps (n, h, w); or the contributions of the channels (n, c, h, w), whose sum is the map; or a list
of maps (n, h, w), one per part (`parts` names the setting with their number). Facts:

needs    what the forward pass must capture: "gradients", "activations", "GAP head", "many forwards",
         "input gradients", "attention"
cost     in addition to one forward, as text
gives    "channels" for a method that returns the channels' contributions
layer    "none" for a method that needs no layer; "stages" for one that reads all resolutions
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from camviz.errors import RequestError
from camviz.registry import Choice, Entry, Registry

if TYPE_CHECKING:
    from torch import Tensor

Method = Callable[..., "Tensor | list[Tensor]"]
METHODS: Registry[Method] = Registry("method", __name__, listing="'camviz methods'")

DEFAULT = "gradcam"
WITHOUT_LAYERS = "occlusion"  # the default for models whose layers cannot be hooked

GROUPS: dict[str, Callable[[Entry[Any]], bool]] = {
    "all": lambda entry: True,
    "gradients": lambda entry: entry.facts["needs"] == "gradients" and entry.facts["cost"] == "1 backward",
    "masking": lambda entry: entry.facts["family"] == "masking",
    "pixels": lambda entry: entry.facts["family"] == "pixels",
    "attention": lambda entry: entry.facts["family"] == "attention",
}


@dataclass(frozen=True, eq=False)
class Chosen(Choice[Method]):
    """A method with its settings. A method that was chosen by a group is skipped where it does not apply."""

    @property
    def layered(self) -> bool:
        """Whether the method reads a layer."""
        return self.entry.facts.get("layer") != "none"

    @property
    def per_pixel(self) -> bool:
        """Whether its maps have a value of their own for each pixel, which an overlay would hide."""
        return self.entry.facts.get("family") == "pixels" and self.entry.facts.get("drawn") != "overlay"

    @property
    def parts(self) -> int:
        """The number of maps per image and target."""
        setting = self.entry.facts.get("parts")
        return int((self.entry.settings | self.settings)[setting]) if setting else 1

    def needs(self, what: str) -> bool:
        """Return whether the forward pass must capture `what`."""
        return what in self.entry.facts["needs"].split(", ")


def choose(names: Sequence[str], settings: Sequence[tuple[str, str]] = (), smooth: str = "none") -> list[Chosen]:
    """Return the methods for names and groups, with their settings: ("smoothgrad.samples", "50") or ("samples", "50").

    Without a name it is `DEFAULT`. With `smooth` "eigen" only methods that return the channels' contributions are
    allowed; a group is reduced to them. Raises `UnknownName` and `RequestError`.
    """
    entries = METHODS.select(names or [DEFAULT], GROUPS)
    if smooth == "eigen":
        entries = {name: optional for name, optional in entries.items() if not optional or _gives_channels(name)}
        for name in entries:
            if not _gives_channels(name):
                raise RequestError(
                    f"--smooth eigen needs a method that weights channels; '{name}' does not",
                    "--method gradcam --smooth eigen, or --method eigencam",
                )
    values: dict[str, dict[str, Any]] = {name: {} for name in entries}
    for key, text in settings:
        method = key.rpartition(".")[0]
        if not method and len(entries) > 1:
            raise RequestError(
                f"--set {key}={text} could belong to any of {len(entries)} methods",
                f"--set {next(iter(entries))}.{key}={text}",
            )
        method = METHODS.find(method or next(iter(entries))).name
        if method not in entries:
            raise RequestError(
                f"--set {key}={text}: method '{method}' is not selected", f"--method {','.join((*entries, method))}"
            )
        if not METHODS.find(method).settings:
            raise RequestError(f"--set {key}={text}: '{method}' has no settings", _methods_with(key))
        setting, value = METHODS.typed(method, key, text, f"'camviz methods {method}'")
        values[method][setting] = value
    return [Chosen(METHODS.find(name), values[name], optional) for name, optional in entries.items()]


def _methods_with(key: str) -> str:
    """Return a hint at the methods that have a setting of that name."""
    names = [entry.name for entry in METHODS if key.rpartition(".")[2] in entry.settings]
    if not names:
        return "'camviz methods NAME' lists the settings of a method"
    others = f", or {', '.join(names[1:])}" if names[1:] else ""
    return f"--method {names[0]}{others}"


def _gives_channels(name: str) -> bool:
    return METHODS.find(name).facts.get("gives") == "channels"
