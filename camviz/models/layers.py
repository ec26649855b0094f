"""The layers of a model: list them, find them by path, choose the default layer."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from camviz.errors import ModelError, unknown
from camviz.io.texts import as_index
from camviz.models.box_layers import level_layers, shared_layer
from camviz.models.default_layer import trunk
from camviz.models.layout import Layouts
from camviz.models.outputs import surveyed
from camviz.models.survey import LayerRun, Survey
from camviz.models.typed import layers_command
from camviz.tasks.box_outputs import has_levels
from camviz.types import Layer, Model

_POOLING = ("MaxPool", "AvgPool", "LPPool", "FractionalMaxPool")
_REARRANGING = ("Permute", "Identity", "Dropout", "Flatten", "StochasticDepth")


def find_layers(model: Model, patterns: Sequence[str], seen: Survey | None = None) -> list[Layer]:
    """Return the layers that match the patterns, in the order of the patterns; without patterns the default layer.

    A pattern is a dotted path; a part of it may be a negative index (`layer4.-1`) or a glob (`features.*`).
    Raises `UnknownName` for a path that does not exist, `ModelError` for a layer whose output has no grid.
    """
    seen = seen or surveyed(model)
    if not patterns:
        return [default_layer(model, seen)]
    by_path: dict[str, Layer] = {}
    for pattern in patterns:
        for layer in _match(model, seen, pattern):
            by_path.setdefault(layer.path, layer)
    return list(by_path.values())


def list_layers(model: Model, seen: Survey) -> list[tuple[LayerRun, Layer | None]]:
    """Return every layer that ran, with its `Layer` where its output has a grid."""
    layouts = Layouts(model.module, seen)
    latest = {run.path: run for run in seen.layers}
    return [(run, layouts.layer(run)) for run in latest.values()]


def default_layer(model: Model, seen: Survey) -> Layer:
    """Return the last spatial stage before pooling.

    Behind the last attention of a model with a class token the patch tokens get no gradient, so there it is the norm
    before that attention. Pooling, rearranging, layers inside attention and class-score maps (SqueezeNet) are
    skipped. Of a detector or segmenter it is the last layer from which all outputs are computed.
    """
    if has_levels(seen.output, len(model.labels)):
        listed = {run.path: layer for run, layer in list_layers(model, seen) if layer}
        shared = shared_layer(seen, [run for run in seen.layers if run.path in listed])
        if shared:
            return listed[shared.path]
    seen = trunk(model.module, seen)
    gridded = [(run, layer) for run, layer in list_layers(model, seen) if layer and _spatial(layer, seen)]
    kinds: dict[int, list[str]] = {}  # of the modules that returned the same tensor, in order
    for run in seen.layers:
        kinds.setdefault(run.output, []).append(run.kind)
    headless = not any(isinstance(part, nn.Linear) for part in model.module.modules())
    attentions = [run.path for run in seen.layers if _is_attention(run)]
    outside = [(run, layer) for run, layer in gridded if not _within(run.path, attentions)]
    chosen = None
    for run, layer in outside or gridded:
        made = (channels_of(layer),) == seen.output_shape and "embedding" not in (model.task, seen.task)
        scores = made and (headless if layer.layout in ("plain", "clip") else run.kind == "Linear")
        pooled = any(pool in kinds[run.output][0] for pool in _POOLING)
        rearranged = all(kind.endswith(_REARRANGING) for kind in kinds[run.output])
        if not (scores or pooled or rearranged):
            chosen = run
    if chosen is None:
        raise ModelError(
            f"no layer of {model.name} has a grid of more than one cell to draw a map from",
            f"{layers_command(model)} lists the shape of every layer",
        )
    layers = {run.path: layer for run, layer in gridded}
    before = layers.get(_before_last_attention(seen, layers) or "")
    last = layers[chosen.path]
    if before and (last.prefix or (before.prefix and grid(before, seen.input_size) == grid(last, seen.input_size))):
        return before
    return layers[_stage(model, seen, chosen)]


def box_levels(model: Model, seen: Survey) -> dict[int, Layer]:
    """Return the layer of each level of a detector's head by its stride in pixels; {} for other models."""
    if not has_levels(seen.output, len(model.labels)):
        return {}
    listed = {run.path: layer for run, layer in list_layers(model, seen) if layer}
    runs = level_layers(seen, [run for run in seen.layers if run.path in listed])
    return {round(seen.input_size[0] / run.shape[1]): listed[run.path] for run in runs} if len(runs) > 1 else {}


def stages(model: Model) -> list[Layer]:
    """Return the last layer of every resolution up to the default layer, first to last.

    For a model with a single resolution, such as a transformer, up to six of its blocks, evenly spaced.
    """
    seen = surveyed(model)
    last = default_layer(model, seen)
    layers = [*stages_before(model, seen, last), last]
    if len(layers) > 2:
        return layers
    blocks: dict[str, list[Layer]] = {}
    for run, layer in list_layers(model, seen):
        if layer and _spatial(layer, seen):
            blocks.setdefault(run.path.rpartition(".")[0], []).append(layer)
    longest = max(blocks.values(), key=len)
    step = max(1, (len(longest) - 1) / 5)
    return longest if len(longest) <= 6 else [longest[round(i * step)] for i in range(6)]


def stages_before(model: Model, seen: Survey, layer: Layer) -> list[Layer]:
    """Return, for every finer resolution, the last (outermost) layer from which the layer is computed."""
    listed = {run.path: other for run, other in list_layers(model, seen)}
    cells = grid(layer, seen.input_size)
    last: dict[tuple[int, int], LayerRun] = {}
    for run in seen.layers:
        if run.path == layer.path:
            break
        other = listed[run.path]
        size = grid(other, seen.input_size) if other else (0, 0)
        if other and size[0] * size[1] > cells[0] * cells[1] and _keeps_size(run.path, layer.path, size, listed, seen):
            last[size] = run
    stages: list[Layer] = []
    finest = float("inf")
    for size, run in last.items():
        if size[0] * size[1] > finest:
            continue  # windows, whose shape only resembles a finer grid
        finest = size[0] * size[1]
        same = [other for other in seen.layers if other.output == run.output and listed[other.path]]
        stage = listed[min(same, key=lambda other: other.path.count(".")).path]
        if stage:
            stages.append(stage)
    return stages


def _keeps_size(path: str, target: str, size: tuple[int, int], listed: dict[str, Layer | None], seen: Survey) -> bool:
    """Return whether `path` is not inside a block that ends at another resolution.

    A module that contains `target`, or layers of three or more resolutions, is a trunk, not a block.
    """
    if target.startswith(f"{path}."):
        return False
    parts = path.split(".")
    for end in range(1, len(parts) + 1):
        outer = ".".join(parts[:end])
        layer = listed.get(outer)
        if not layer or target.startswith(f"{outer}.") or grid(layer, seen.input_size) == size:
            continue
        inside = {
            grid(layer, seen.input_size) for other, layer in listed.items() if layer and other.startswith(f"{outer}.")
        }
        if len(inside - {(1, 1)}) < 3:
            return False
    return True


def _stage(model: Model, seen: Survey, chosen: LayerRun) -> str:
    """Return the outermost module that returns `chosen`'s output, unless it also does the downsampling."""
    same = [run for run in seen.layers if run.output == chosen.output]
    path = min(same, key=lambda run: (run.path.count("."), -seen.layers.index(run))).path
    while True:
        children = _below(seen, path)
        inside = [run for run in children if run.output == chosen.output]
        if len({run.shape[-2:] for run in children}) < 2 or not inside:
            return path
        path = inside[-1].path


def _below(seen: Survey, path: str) -> list[LayerRun]:
    """Return the layers directly below `path`; containers that do not run (a list of blocks) are skipped."""
    inside = [run for run in seen.layers if run.path.startswith(f"{path}.")]
    ran = {run.path for run in inside}

    def holder(inner: str) -> str:
        outer = inner.rpartition(".")[0]
        return outer if outer == path or outer in ran else holder(outer)

    return [run for run in inside if holder(run.path) == path]


def _before_last_attention(seen: Survey, layers: dict[str, Layer]) -> str | None:
    """Return the outermost layer whose output is the input of the last attention."""
    for attention in reversed(seen.layers):
        if not _is_attention(attention):
            continue
        feeding = [run for run in seen.layers if run.output == attention.input and run.path in layers]
        if not feeding:  # passed by keyword, or rearranged: the layer that finished before the attention's first part
            inside = [i for i, run in enumerate(seen.layers) if run.path.startswith(f"{attention.path}.")]
            feeding = [run for i in inside[:1] for run in seen.layers[max(0, i - 1) : i] if run.path in layers]
        if feeding:
            return min(feeding, key=lambda run: run.path.count(".")).path
    return None


def _within(path: str, outer: Sequence[str]) -> bool:
    return any(path.startswith(f"{other}.") for other in outer)


def _is_attention(run: LayerRun) -> bool:
    names = (run.kind.lower(), run.path.rpartition(".")[2].lower())
    return any(word in text for text in names for word in ("attention", "attn"))


def _match(model: Model, seen: Survey, pattern: str) -> list[Layer]:
    paths = expand(model, pattern)
    listed = {run.path: layer for run, layer in list_layers(model, seen)}
    gridded = [layer for path in paths if (layer := listed.get(path)) is not None]
    if gridded:
        return gridded
    path = paths[0]
    near = _nearest_gridded(path, listed, seen)
    hint = f"--layer {near} has a grid; {layers_command(model)} lists all" if near else ""
    if path not in listed:
        raise ModelError(f"layer '{path}' does not run in a forward of {model.name}", hint)
    if path in Layouts(model.module, seen).scattered:
        raise ModelError(
            f"the tokens of layer '{path}' of {model.name} are in the order of mask units or windows, not of positions",
            f"--layer {default_layer(model, seen).path} has them in order; {layers_command(model)} lists all",
        )
    shape = "×".join(str(size) for size in (seen.find(path) or seen.layers[0]).shape)
    raise ModelError(f"the output of layer '{path}' of {model.name} is {shape}: no grid to draw a map on", hint)


def _nearest_gridded(path: str, listed: dict[str, Layer | None], seen: Survey) -> str:
    """Return the last layer with a grid that finished before `path`, or else the last of all."""
    last = ""
    for other, layer in listed.items():
        if other == path and last:
            break
        if layer and _spatial(layer, seen):
            last = other
    return last


def expand(model: Model, pattern: str) -> list[str]:
    """Return all module paths that match a pattern, in the model's order. Raises `UnknownName`."""
    paths = [""]
    for part in pattern.split("."):
        paths = [path for parent in paths for path in _children(model.module, parent, part)]
    paths = [path for path in paths if path]
    if not paths:
        known = [path for path, _ in model.module.named_modules() if path]
        raise unknown("layer", pattern, known, model.name, layers_command(model))
    return paths


def _children(module: nn.Module, parent: str, part: str) -> list[str]:
    names = [name for name, _ in module.get_submodule(parent).named_children()]
    if part.startswith("-") and (last := as_index(part[1:])) is not None:
        names = names[-last:][:1] if last <= len(names) else []
    else:
        names = [name for name in names if fnmatchcase(name, part)]
    return [f"{parent}.{name}" if parent else name for name in names]


def _spatial(layer: Layer, seen: Survey) -> bool:
    height, width = grid(layer, seen.input_size)
    return height * width > 1


def grid(layer: Layer, input_size: tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) of the layer's maps in the survey."""
    if layer.layout == "plain":
        return layer.shape[1], layer.shape[2]
    if layer.layout == "channels_last":
        return layer.shape[0], layer.shape[1]
    if layer.layout in ("clip", "clip_last"):
        steps, height, width = layer.shape[1:] if layer.layout == "clip" else layer.shape[:3]
        return steps * height, width
    return layer.cells(layer.shape[0], input_size)


def channels_of(layer: Layer) -> int:
    """Return the number of channels of the layer's maps."""
    return layer.shape[0] if layer.layout in ("plain", "clip") else layer.shape[-1]
