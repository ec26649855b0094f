"""Rebuild a TorchScript model as a tree of ordinary modules, so that hooks reach its layers.

Hooks cannot be put on a ScriptModule. Its graph can be read, though: `restored` makes a module for every one of
its modules, whose forward walks through the graph node by node and calls the modules below as Python does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from camviz.hooks.capture import first_tensor

Values = dict[int, Any]
_CONVOLUTIONS = {"aten::_convolution": (3, 4, 5, 8), "aten::conv2d": (3, 4, 5, 6)}  # stride, padding, dilation, groups


class Restored(nn.Module):
    """One module of a TorchScript model, run by walking through its graph."""

    def __init__(self, script: Any) -> None:
        super().__init__()
        self.__dict__["script"] = script  # not a child: nothing of it may be hooked or moved
        self.__dict__["met"] = {}  # operators that a forward ran, with their arguments: what a leaf is made of
        for name, parameter in script.named_parameters(recurse=False):
            self.register_parameter(name, nn.Parameter(parameter.detach(), requires_grad=parameter.is_floating_point()))
        for name, buffer in script.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        for name, child in script.named_children():
            self.add_module(name, restored(child))

    def forward(self, *inputs: Any) -> Any:
        """Return what the module's own `forward` returns."""
        return self.call("forward", inputs)

    def call(self, method: str, inputs: Sequence[Any]) -> Any:
        """Run one of the module's methods."""
        graph = self.__dict__["script"]._c._get_method(method).graph
        values: Values = {}
        for value, operands in zip(graph.inputs(), (self, *inputs), strict=True):
            values[value.unique()] = operands
        self._walk(graph, values)
        results = [values[value.unique()] for value in graph.outputs()]
        return results[0] if len(results) == 1 else tuple(results)

    def attribute(self, name: str) -> Any:
        """Return a child, a tensor or a constant of the module."""
        for members in (self._modules, self._parameters, self._buffers):
            if name in members:
                return members[name]
        return getattr(self.__dict__["script"], name)

    def _walk(self, block: Any, values: Values) -> None:
        for node in block.nodes():
            kind = node.kind()
            operands = [values.get(value.unique()) for value in node.inputs()]
            outputs = [value.unique() for value in node.outputs()]
            if kind == "prim::If":
                results = self._block(list(node.blocks())[0 if operands[0] else 1], values, ())
            elif kind == "prim::Loop":
                results = self._loop(next(iter(node.blocks())), operands, values)
            else:
                result = self._run(node, kind, operands)
                results = [result] if len(outputs) == 1 else list(result or ())
            values.update(zip(outputs, results, strict=True))

    def _block(self, block: Any, values: Values, operands: Sequence[Any]) -> list[Any]:
        inner = values  # names are unique in a graph, and a block reads what is around it
        inner.update(zip((value.unique() for value in block.inputs()), operands, strict=True))
        self._walk(block, inner)
        return [inner[value.unique()] for value in block.outputs()]

    def _loop(self, block: Any, operands: Sequence[Any], values: Values) -> list[Any]:
        trips, go_on, carried = operands[0], operands[1], list(operands[2:])
        trip = 0
        while go_on and trip < trips:
            go_on, *carried = self._block(block, values, [trip, *carried])
            trip += 1
        return carried

    def _run(self, node: Any, kind: str, operands: list[Any]) -> Any:
        """Run a node without blocks."""
        if kind == "prim::Constant":
            output = node.output()
            return (
                output.toIValue() if node.attributeNames() and node.kindOf(node.attributeNames()[0]) != "s_" else None
            )
        if kind == "prim::GetAttr":
            owner = operands[0]
            return owner.attribute(node.s("name")) if isinstance(owner, Restored) else _part(owner, node.s("name"))
        if kind == "prim::CallMethod":
            owner, name = operands[0], node.s("name")
            if name == "forward":
                return owner(*operands[1:])
            return (
                owner.call(name, operands[1:]) if isinstance(owner, Restored) else getattr(owner, name)(*operands[1:])
            )
        if kind in _BUILDERS:
            return _BUILDERS[kind](operands)
        if kind in _LISTS and isinstance(operands[0], (list, dict)):
            return _LISTS[kind](operands)
        self.__dict__["met"][kind] = operands
        return _operator(node)(*operands)


def _part(owner: Any, name: str) -> Any:
    return getattr(owner, name)


_BUILDERS: dict[str, Callable[[list[Any]], Any]] = {
    "prim::ListConstruct": list,
    "prim::TupleConstruct": tuple,
    "prim::ListUnpack": lambda operands: list(operands[0]) if len(operands[0]) != 1 else operands[0],
    "prim::TupleUnpack": lambda operands: list(operands[0]) if len(operands[0]) != 1 else operands[0],
    "prim::DictConstruct": lambda operands: dict(zip(operands[::2], operands[1::2], strict=True)),
    "prim::unchecked_cast": lambda operands: operands[0],
    "prim::Uninitialized": lambda operands: None,
    "aten::warn": lambda operands: None,
    "aten::__is__": lambda operands: operands[0] is operands[1],
    "aten::__isnot__": lambda operands: operands[0] is not operands[1],
}


def _append(operands: list[Any]) -> Any:
    operands[0].append(operands[1])
    return operands[0]


def _extend(operands: list[Any]) -> Any:
    operands[0].extend(operands[1])
    return operands[0]


def _set_item(operands: list[Any]) -> Any:
    operands[0][operands[1]] = operands[2]
    return operands[0]


_LISTS: dict[str, Callable[[list[Any]], Any]] = {  # their operators take no lists of any kind from Python
    "aten::append": _append,
    "aten::extend": _extend,
    "aten::_set_item": _set_item,
    "aten::__getitem__": lambda operands: operands[0][operands[1]],
    "aten::__contains__": lambda operands: operands[1] in operands[0],
    "aten::len": lambda operands: len(operands[0]),
    "aten::list": lambda operands: list(operands[0]),
    "aten::add": lambda operands: operands[0] + operands[1],
}


def _operator(node: Any) -> Callable[..., Any]:
    """The operator of a node: torch's own, called by its exact overload; else the node compiled by itself."""
    text = node.schema()
    if text and text != "(no schema)":
        schema = torch._C.parse_schema(text)
        space, _, name = schema.name.partition("::")
        packet = getattr(getattr(torch.ops, space), name, None)
        overload = getattr(packet, schema.overload_name or "default", None)
        if overload is not None and len(schema.arguments) == len(list(node.inputs())):
            named = [argument.name if argument.kwarg_only else "" for argument in schema.arguments]

            def call(*operands: Any) -> Any:
                plain = [value for value, name in zip(operands, named, strict=True) if not name]
                return overload(*plain, **{name: value for value, name in zip(operands, named, strict=True) if name})

            return call
    return _compiled(node)


def _compiled(node: Any) -> Callable[..., Any]:
    """A function of one node, its constants inside."""
    graph: Any = torch._C.Graph()
    inputs: dict[int, Any] = {}
    fixed: set[int] = set()
    for value in node.inputs():
        if value.unique() in inputs:
            continue
        if value.node().kind() == "prim::Constant" and value.node().attributeNames():
            clone = graph.createClone(value.node(), lambda module: module)
            graph.appendNode(clone)
            inputs[value.unique()] = clone.output()
            fixed.add(value.unique())
        else:
            made = graph.addInput()
            made.setType(value.type())
            inputs[value.unique()] = made
    clone = graph.createClone(node, lambda value: inputs[value.unique()])
    graph.appendNode(clone)
    for output in clone.outputs():
        graph.registerOutput(output)
    function = torch._C._create_function_from_graph("node", graph)
    unique = [value.unique() for value in node.inputs()]

    def call(*operands: Any) -> Any:
        wanted = {key: value for key, value in zip(unique, operands, strict=True) if key not in fixed}
        return function(*wanted.values())

    return call


def restored(script: Any) -> Restored:
    """Return the tree of modules of a ScriptModule; each has the name of its original class."""
    name = script.original_name if str(getattr(script, "original_name", "")).isidentifier() else "Module"
    return cast(Restored, type(name, (Restored,), {})(script))


def with_layers(network: Restored) -> Restored:
    """Return the module with torch's own convolutions, norms and linear layers in place of equal leaves.

    A forward must have run before: it records the settings.
    """
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            layer = _layer(child) if isinstance(child, Restored) and not list(child.children()) else None
            if layer is not None:
                module._modules[name] = layer.eval()
    return network


def _layer(leaf: Restored) -> nn.Module | None:
    """torch's own layer with the leaf's tensors."""
    kind, met, tensors = type(leaf).__name__, leaf.__dict__["met"], {**leaf._parameters, **leaf._buffers}
    weight, bias = tensors.get("weight"), tensors.get("bias")
    if weight is None or set(tensors) - {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}:
        return None
    layer: Any = None
    with torch.device("meta"):
        convolution = next((name for name in _CONVOLUTIONS if name in met), None)
        if (
            kind == "Conv2d"
            and convolution
            and weight.ndim == 4
            and all(isinstance(p, int) for p in met[convolution][4])
        ):
            operands = met[convolution]
            stride, padding, dilation, groups = (operands[place] for place in _CONVOLUTIONS[convolution])
            sides = (weight.shape[2], weight.shape[3])
            channels = weight.shape[1] * groups
            layer = nn.Conv2d(
                channels,
                weight.shape[0],
                sides,
                tuple(stride),
                tuple(padding),
                tuple(dilation),
                groups,
                bias is not None,
            )
        elif kind == "Linear" and weight.ndim == 2:
            layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
        elif kind == "BatchNorm2d" and "aten::batch_norm" in met and "running_mean" in tensors and bias is not None:
            layer = nn.BatchNorm2d(weight.shape[0], eps=float(met["aten::batch_norm"][7]))
    if layer is None:
        return None
    for name, tensor in tensors.items():
        owned = layer._parameters if name in layer._parameters else layer._buffers
        owned[name] = tensor
    return cast(nn.Module, layer)


def agree(module: nn.Module, other: nn.Module, inputs: Tensor) -> bool:
    """Return whether two modules return the same for the same inputs, up to rounding."""
    try:
        with torch.no_grad():
            first, second = first_tensor(module(inputs)), first_tensor(other(inputs))
    except Exception:  # whatever goes wrong: they do not
        return False
    if first is None or second is None or first.shape != second.shape:
        return False
    scale = max(float(first.abs().max()), 1e-6)
    return bool(torch.allclose(first, second, rtol=1e-3, atol=1e-4 * scale))
