"""What must be the same before and after: hooks, modes, gradients."""

from torch import nn


def hook_count(module: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in module.modules())


def state_of(module: nn.Module) -> tuple[list[bool], list[bool], list[bool]]:
    return (
        [m.training for m in module.modules()],
        [p.requires_grad for p in module.parameters()],
        [p.grad is None for p in module.parameters()],
    )
