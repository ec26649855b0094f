"""Which torch functions compute a module's output, and a forward without some of them.

Calls are intercepted as Python functions, above autograd, so no values are needed: it works on the meta device, under
`no_grad`, and for a function as for a module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from camviz.hooks.capture import hooks

_SKIPPABLE = ("softmax", "log_softmax", "sigmoid", "expit", "logsigmoid", "exp", "log")


class Site(NamedTuple):
    """The place of a call: the `number`-th skippable call in the own code of the module at `path`."""

    path: str
    number: int


NOWHERE = Site("", -1)


@dataclass(eq=False)
class Call:
    """One call of a torch function. `tensors` are its arguments, `sources` the calls that made them."""

    name: str
    tensors: tuple[Tensor, ...] = ()
    sources: tuple[Call, ...] = ()
    site: Site = NOWHERE
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def option(self, name: str, position: int) -> Any:
        """Return an argument by keyword or position, None when it was not passed."""
        default = self.arguments[position] if position < len(self.arguments) else None
        return self.options.get(name, default)


class _Frames(TorchFunctionMode):
    """Follow which module's own code runs, and number the skippable calls in it."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = [""]
        self._counts: Counter[str] = Counter()

    def locate(self, name: str) -> Site:
        """Return the place of the call that is made now."""
        path = self.stack[-1]
        if name not in _SKIPPABLE:
            return Site(path, -1)
        self._counts[path] += 1
        return Site(path, self._counts[path])

    @contextmanager
    def following(self, module: nn.Module) -> Iterator[None]:
        """Within the block the stack has the path of the innermost module that runs."""

        def enter(path: str) -> Any:
            return lambda *_: self.stack.append(path)

        with hooks() as handles, self:
            for path, part in module.named_modules():
                if path and not isinstance(part, torch.jit.ScriptModule):
                    handles.append(part.register_forward_pre_hook(enter(path)))
                    handles.append(part.register_forward_hook(lambda *_: self._leave(), always_call=True))
            yield

    def _leave(self) -> None:
        self.stack.pop()


class Trace(_Frames):
    """All calls of a forward, found by the tensors that they returned."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self._made: dict[int, Call] = {}
        self._alive: list[Tensor] = []  # a tensor that lives keeps its id

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = plain_name(func)
        site = self.locate(name)
        result = func(*args, **kwargs)
        returned = tensors_in(result)
        if returned:
            tensors = tensors_in((*args, *kwargs.values()))
            sources = dict.fromkeys(self._made[id(tensor)] for tensor in tensors if id(tensor) in self._made)
            call = Call(name, tuple(tensors), tuple(sources), site, tuple(args), dict(kwargs))
            for tensor in returned:
                self.begin(tensor, call)
        return result

    def begin(self, tensor: Tensor, call: Call) -> None:
        """Record that a call made a tensor."""
        if not self.calls or self.calls[-1] is not call:
            self.calls.append(call)
        self._made[id(tensor)] = call
        self._alive.append(tensor)

    def maker(self, tensor: Tensor) -> Call | None:
        """Return the call that made a tensor, None when no call is known."""
        return self._made.get(id(tensor))

    @property
    def by_tensor(self) -> Mapping[int, Call]:
        """The call that made each tensor, by the tensor's id."""
        return self._made

    def tensors_of(self, calls: Collection[Call]) -> set[int]:
        """Return the ids of the tensors that these calls made."""
        return {key for key, call in self._made.items() if call in calls}

    def behind_input(self) -> set[int]:
        """Return the ids of all tensors whose values depend on the input."""
        behind = {self.calls[0]}
        for call in self.calls[1:]:
            if (
                not call.name.startswith("new_")
                and not call.name.endswith("_like")
                and behind.intersection(call.sources)
            ):
                behind.add(call)
        return self.tensors_of(behind)

    def before(self, call: Call) -> set[Call]:
        """Return the call and all calls that it depends on."""
        seen, left = {call}, [call]
        while left:
            for source in left.pop().sources:
                if source not in seen:
                    seen.add(source)
                    left.append(source)
        return seen


class _Without(_Frames):
    def __init__(self, sites: Collection[tuple[str, int]]) -> None:
        super().__init__()
        self._sites = sites

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.locate(plain_name(func)) in self._sites:
            return args[0] if args else kwargs["input"]
        return func(*args, **kwargs)


@contextmanager
def tracing(module: nn.Module, inputs: Tensor) -> Iterator[Trace]:
    """Record the calls of a forward of `module` over `inputs`."""
    trace = Trace()
    trace.begin(inputs, Call("input"))
    with trace.following(module):
        yield trace


@contextmanager
def without(module: nn.Module, sites: Collection[tuple[str, int]]) -> Iterator[None]:
    """Within the block the calls at these places return their input: a forward without a final softmax, say."""
    if not sites:
        yield
        return
    with _Without(sites).following(module):
        yield


def plain_name(func: Any) -> str:
    """Return the name of a torch function, the same for its method, in-place and `torch.special` forms."""
    name: str = getattr(func, "__name__", "")
    if name == "__get__":  # a property: .T, .data
        name = getattr(func.__self__, "__name__", "")
    if name.startswith("__"):
        return name
    return name.removeprefix("special_").rstrip("_")


def tensors_in(values: Any) -> list[Tensor]:
    """Return the tensors in nested tuples and lists."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, (tuple, list)):
        return [tensor for value in values for tensor in tensors_in(value)]
    return []
