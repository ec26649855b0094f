"""The layers behind the boxes of a one-stage detector: one per level of its head, and the last behind all of them.

Found in the graph of calls: a level is a grid on which branches end (box sides, class scores); its layer is the last
one of that grid from which all of these branches are computed.
"""

from __future__ import annotations

from collections.abc import Sequence

from camviz.hooks.capture import first_tensor
from camviz.hooks.operations import Call
from camviz.models.survey import LayerRun, Survey


def level_layers(seen: Survey, runs: Sequence[LayerRun]) -> list[LayerRun]:
    """Return the layer of each level, the finest first; `runs` are the layers with a grid, plain ones are read."""
    return [run for run, _ in _levels(seen, runs)]


def shared_layer(seen: Survey, runs: Sequence[LayerRun]) -> LayerRun | None:
    """Return the last layer from which every box is computed, None where the graph does not show it."""
    levels = _levels(seen, runs)
    if not levels or seen.trace is None:
        return None
    common = set.intersection(*(before for _, before in levels))
    return _last([(run, call) for run, call in _calls(seen, runs) if call in common])


def _levels(seen: Survey, runs: Sequence[LayerRun]) -> list[tuple[LayerRun, set[Call]]]:
    """Return the layer of each level with all calls that it depends on."""
    result = first_tensor(seen.raw)
    made = seen.trace.maker(result) if seen.trace and result is not None else None
    if made is None or seen.trace is None:
        return []
    needed = seen.trace.before(made)
    gridded = [(run, call) for run, call in _calls(seen, runs) if call in needed]
    ends: dict[tuple[int, ...], list[set[Call]]] = {}
    covered: set[Call] = set()
    for run, call in reversed(gridded):
        if call not in covered:
            before = seen.trace.before(call) - {call}
            ends.setdefault(run.shape[1:], []).append(before)
            covered |= {call, *before}
    levels = []
    for grid in sorted(ends, key=lambda size: -size[0] * size[1]):
        common = set.intersection(*ends[grid])
        layer = _last([(run, call) for run, call in gridded if run.shape[1:] == grid and call in common])
        levels += [(run, seen.trace.before(call)) for run, call in gridded if run is layer]
    return levels


def _calls(seen: Survey, runs: Sequence[LayerRun]) -> list[tuple[LayerRun, Call]]:
    """Return the layers with an output (c, h, w) of more than one cell, and the call that made it."""
    by_tensor = seen.trace.by_tensor if seen.trace else {}
    plain = [run for run in runs if len(run.shape) == 3 and run.shape[1] * run.shape[2] > 1]
    return [(run, by_tensor[run.output]) for run in plain if run.output in by_tensor]


def _last(runs: Sequence[tuple[LayerRun, Call]]) -> LayerRun | None:
    """Return the outermost of the layers that returned the tensor of the last call."""
    if not runs:
        return None
    same = [run for run, call in runs if call is runs[-1][1]]
    return min(same, key=lambda run: run.path.count("."))
