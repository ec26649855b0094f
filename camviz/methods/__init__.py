"""Methods: each is one decorated function from a probe to raw maps. Formulas as in the papers named.

A method returns maps (n, h, w); or what each channel contributes (n, c, h, w), which adds up to the map; or a list
of maps (n, h, w) where it finds several parts (`parts` names the setting that counts them). Facts:

needs    what the pass must hold: "gradients", "activations", "GAP head", "many forwards", "input gradients",
         "attention"
cost     beside one forward, for people
gives    "channels" for a method that says what each channel contributes
layer    "none" for a method that is not tied to a layer; "stages" for one that reads all resolutions
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
WITHOUT_LAYERS = "occlusion"  # of models whose layers cannot be reached

GROUPS: dict[str, Callable[[Entry[Any]], bool]] = {
    "all": lambda entry: True,
    "gradients": lambda entry: entry.facts["needs"] == "gradients" and entry.facts["cost"] == "1 backward",
    "masking": lambda entry: entry.facts["family"] == "masking",
    "pixels": lambda entry: entry.facts["family"] == "pixels",
    "attention": lambda entry: entry.facts["family"] == "attention",
}


@dataclass(frozen=True, eq=False)
class Chosen(Choice[Method]):
    """A method with its settings. One that came with a group is passed over where it cannot work."""

    @property
    def layered(self) -> bool:
        """Whether the method looks at a layer."""
        return self.entry.facts.get("layer") != "none"

    @property
    def parts(self) -> int:
        """How many maps it finds in one image, 1 unless it looks for several."""
        setting = self.entry.facts.get("parts")
        return int((self.entry.settings | self.settings)[setting]) if setting else 1

    def needs(self, what: str) -> bool:
        """Whether the pass must hold `what`."""
        return what in self.entry.facts["needs"].split(", ")


def choose(names: Sequence[str], settings: Sequence[tuple[str, str]] = (), smooth: str = "none") -> list[Chosen]:
    """The methods that names and groups mean, with typed settings: ("smoothgrad.samples", "50") or ("samples", "50").

    No name is `DEFAULT`. With `smooth` "eigen" only those that say what each channel contributes; a group is
    thinned out to them.

    Raises `UnknownName` and `RequestError` with what to type instead.
    """
    entries = METHODS.select(names or [DEFAULT], GROUPS)
    if smooth == "eigen":
        entries = {name: optional for name, optional in entries.items() if not optional or _gives_channels(name)}
        for name in entries:
            if not _gives_channels(name):
                raise RequestError(
                    f"--smooth eigen needs a method that weighs channels; '{name}' does not",
                    "--method gradcam --smooth eigen, or --method eigencam",
                )
    values: dict[str, dict[str, Any]] = {name: {} for name in entries}
    for key, text in settings:
        method = key.rpartition(".")[0]
        if not method and len(entries) > 1:
            raise RequestError(
                f"--set {key}={text}: which of the {len(entries)} methods?", f"--set {next(iter(entries))}.{key}={text}"
            )
        method = method or next(iter(entries))
        if method not in entries:
            METHODS.find(method)  # a wrong name is told as one
            raise RequestError(
                f"--set {key}={text}: '{method}' is not computed", f"--method {','.join((*entries, method))}"
            )
        if not METHODS.find(method).settings:
            raise RequestError(f"--set {key}={text}: '{method}' has no settings", _who_has(key))
        setting, value = METHODS.typed(method, key, text, f"'camviz methods {method}'")
        values[method][setting] = value
    return [Chosen(METHODS.find(name), values[name], optional) for name, optional in entries.items()]


def _who_has(key: str) -> str:
    """A hint at the methods that have a setting of that name."""
    having = [entry.name for entry in METHODS if key.rpartition(".")[2] in entry.settings]
    if not having:
        return "'camviz methods NAME' shows the settings of one"
    others = f", or {', '.join(having[1:])}" if having[1:] else ""
    return f"--method {having[0]}{others}"


def _gives_channels(name: str) -> bool:
    return METHODS.find(name).facts.get("gives") == "channels"
