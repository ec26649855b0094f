"""Dialects: the ways in which programs pack the tensors of a model. Each is one function.

A dialect takes tensors by name and returns them renamed, with a note on the change, or None where it does not apply.
`strip` applies them until none does; `variants` goes on with changes that depend on the model, so that `fit` and
`recognize` can choose the variant that fits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, "Tensor"]
Dialect = Callable[[State], tuple[State, str] | None]

AVERAGES = (
    "ema", "model_ema", "ema_model", "state_dict_ema", "ema_state_dict", "model_ema_state_dict", "params_ema",
    "teacher",
)  # fmt: skip
NESTS = (
    "state_dict", "model_state_dict", "model", "net", "network", "module", "params", "weights", "student",
    "generator", "encoder_q", "target_encoder", "online_network",
)  # fmt: skip
_WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")  # of torch, anywhere in a name
_PREFIXES = ("model", "net", "network", "backbone", "encoder", "classifier", "student", "_model", "base_model")
_QUERIES = ("encoder_q.", "base_encoder.", "online_encoder.", "student_encoder.", "query_encoder.")
_PROJECTIONS = ("fc.", "head.", "projector.", "predictor.", "projection", "mlp.")
_FLAT_AVERAGES = ("model_ema.", "ema_model.", "ema.", "ema_net.", "teacher.")


def nested(content: Mapping[Any, Any], wanted: str = "") -> tuple[str, list[str]]:
    """Return the key under which the tensors are ("" for this level), and the other keys that hold weights.

    `wanted` is taken when it is there; then averaged weights (EMA, a teacher) before raw ones.
    """
    keys = [key for key in (*AVERAGES, *NESTS) if _holds(content.get(key))]
    if wanted and _holds(content.get(wanted)):
        keys.insert(0, wanted)
    return (keys[0], [key for key in keys[1:] if key != keys[0]]) if keys else ("", [])


def parts_of(content: Mapping[Any, Any]) -> State:
    """Return the tensors of parts saved side by side, such as {"backbone": …, "classifier": …}; {} without any."""
    parts = {key: value for key, value in content.items() if isinstance(key, str) and _only_tensors(value)}
    return {f"{part}.{name}": tensor for part, state in parts.items() for name, tensor in state.items()}


def _only_tensors(value: Any) -> bool:
    if not isinstance(value, Mapping) or not value:
        return False
    return all(isinstance(name, str) and hasattr(tensor, "shape") for name, tensor in value.items())


def _holds(value: Any) -> bool:
    """Whether tensors by name, or a model, are in `value` or in what is nested in it."""
    if hasattr(value, "state_dict"):
        return True
    if not isinstance(value, Mapping):
        return False
    return any(hasattr(tensor, "shape") for tensor in value.values()) or any(
        _holds(value.get(key)) for key in (*NESTS, *AVERAGES)
    )


def wrappers(state: State) -> tuple[State, str] | None:
    """torch.compile, FSDP and activation checkpointing put their own part into the names, anywhere."""
    present = [word for word in _WRAPPERS if any(word in f".{key}" for key in state)]
    if not present:
        return None
    renamed = {}
    for key, value in state.items():
        for word in present:
            key = f".{key}".replace(f".{word}", ".")[1:]
        renamed[key] = value
    if len(renamed) < len(state):
        return None
    return renamed, " and ".join(f"'{word}'" for word in present) + " stripped"


def averaged(state: State) -> tuple[State, str] | None:
    """torch's AveragedModel counts its updates in `n_averaged`, beside names that begin with `module.`."""
    rest = {key: value for key, value in state.items() if key != "n_averaged"}
    if len(rest) == len(state) or not rest or not all(key.startswith("module.") for key in rest):
        return None
    return rest, "averaged weights (AveragedModel)"


def parallel(state: State) -> tuple[State, str] | None:
    """DataParallel and DistributedDataParallel."""
    return stripped(state, "module.")


def average_beside(state: State) -> tuple[State, str] | None:
    """A trained model and its moving average side by side: the average is taken."""
    for prefix in _FLAT_AVERAGES:
        average = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
        if not average or len(average) == len(state):
            continue
        names = {name.removeprefix("module.") for name in average}
        others = {key for key in state if not key.startswith(prefix)}
        matched = [key for key in others if key in names or key.partition(".")[2].removeprefix("module.") in names]
        if 2 * len(matched) >= len(names):
            return average, f"EMA weights '{prefix}…' taken, not the raw ones ({len(others)} tensors left out)"
    return None


def query_encoder(state: State) -> tuple[State, str] | None:
    """MoCo, BYOL and the like: the encoder that is trained, without the other one, the queue and the projection."""
    for prefix in _QUERIES:
        inside = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
        if not inside or not any(value.ndim == 4 for value in inside.values()):
            continue
        body = {key: value for key, value in inside.items() if not key.startswith(_PROJECTIONS)}
        dropped = len(state) - len(body)
        return (
            body,
            f"'{prefix}' taken: pretrained without labels, its projection is no classifier ({dropped} left out)",
        )
    return None


DIALECTS: tuple[Dialect, ...] = (wrappers, averaged, parallel, query_encoder, average_beside)


def pruned(state: State) -> tuple[State, str] | None:
    """torch.nn.utils.prune keeps `weight_orig` and `weight_mask`: the weight is their product."""
    masked = [key[: -len("_mask")] for key in state if key.endswith("_mask") and f"{key[:-5]}_orig" in state]
    if not masked:
        return None
    merged = {
        key: value for key, value in state.items() if key.removesuffix("_orig").removesuffix("_mask") not in masked
    }
    merged |= {name: state[f"{name}_orig"] * state[f"{name}_mask"] for name in masked}
    return merged, f"pruned: weight_orig × weight_mask of {len(masked)} tensor(s)"


def old_densenet(state: State) -> tuple[State, str] | None:
    """torchvision before 0.3 named the layers of a DenseNet `norm.1`, `conv.2`."""
    pattern = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
    if not any(pattern.search(key) for key in state):
        return None
    return {pattern.sub(r"\1\2", key): value for key, value in state.items()}, "old names of DenseNet ('norm.1')"


REWRITINGS: tuple[Dialect, ...] = (pruned, old_densenet)


def strip(state: State) -> tuple[State, list[str]]:
    """All dialects until none finds its sign; what was taken off, in order."""
    notes: list[str] = []
    while True:
        for dialect in DIALECTS:
            changed = dialect(state)
            if changed:
                state, note = changed
                if note not in notes:
                    notes.append(note)
                break
        else:
            return state, notes


def variants(state: State) -> Iterator[tuple[State, list[str]]]:
    """The state as it is, rewritten, and with the prefixes that a training program puts before a model taken off."""
    notes: list[str] = []
    while True:
        yield state, notes
        rewritten, changes = state, notes
        for rewriting in REWRITINGS:
            if changed := rewriting(rewritten):
                rewritten, changes = changed[0], [*changes, changed[1]]
        if rewritten is not state:
            yield rewritten, changes
        shorter = next((part for prefix in _PREFIXES if (part := part_of(state, f"{prefix}."))), None)
        if shorter is None:
            return
        state, more = strip(shorter[0])
        notes = [*notes, shorter[1], *more]


def part_of(state: State, prefix: str) -> tuple[State, str] | None:
    """The model at `prefix`, when most of the tensors are in it; a loss or a metric beside it is left out."""
    inside = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    outside = len(state) - len(inside)
    if len(inside) <= 4 * outside or not inside:
        return None
    if not outside:
        return inside, f"prefix '{prefix}' stripped"
    some = ", ".join([key for key in state if not key.startswith(prefix)][:3])
    return inside, f"prefix '{prefix}' stripped, {outside} tensor(s) beside it left out ({some})"


def stripped(state: State, prefix: str) -> tuple[State, str] | None:
    """Without the prefix, when every name has it."""
    if not state or not all(key.startswith(prefix) for key in state):
        return None
    return {key[len(prefix) :]: value for key, value in state.items()}, f"prefix '{prefix}' stripped"
