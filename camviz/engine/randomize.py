"""Randomize the weights of a model for sanity checks: layer by layer from the top, BatchNorm statistics re-estimated.

Adebayo et al. 2018 (arXiv:1810.03292), section 3.1. Each weight tensor keeps its values in random order.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from camviz.demo import sample_folder
from camviz.errors import CamvizError
from camviz.hooks.capture import borrowed, hooks
from camviz.io.images import read_image
from camviz.models.channels import input_channels
from camviz.models.preprocess import prepare
from camviz.models.survey import survey
from camviz.types import Model

_IMAGES = 8  # of the bundled samples: the batch on which BatchNorm statistics are re-estimated


def randomized(model: Model, seed: int = 0) -> Model:
    """Return a copy of the model with all weights randomized and BatchNorm statistics re-estimated."""
    return cascade(model, 1, seed)[0]


def cascade(model: Model, stages: int, seed: int = 0) -> list[Model]:
    """Return copies with ever more layers randomized, from the top down; the last one has all weights randomized.

    The running statistics of normalization layers after a randomized layer are re-estimated on the bundled sample
    images, or the activations would grow by orders of magnitude. The model itself stays unchanged.
    """
    seen = survey(model.module, model.preprocessing.crop, model.name)
    order = list(dict.fromkeys(layer.path for layer in seen.layers))
    stages_ = randomized_copies(model.module, order, stages, seed)
    inputs = sample_batch(model) if any(map(_has_statistics, model.module.modules())) else None
    for stage in stages_:
        if inputs is not None:
            reestimate_statistics(stage.module, inputs, order[stage.first :])
    return [replace(model, module=stage.module) for stage in stages_]


@dataclass(frozen=True, eq=False)
class Stage:
    """A copy of a module with its layers randomized from number `first` (in running order) to the last."""

    module: nn.Module
    first: int


def randomized_copies(module: nn.Module, order: Sequence[str], stages: int, seed: int = 0) -> list[Stage]:
    """Return copies of a module with ever more layers randomized from the top; `order` are the paths as they ran.

    Weights that are not randomized are shared with the module.
    """
    layers = by_layer(module, order)
    generator = torch.Generator().manual_seed(seed)
    permuted: dict[int, nn.Parameter] = {}
    copies = []
    for stage in range(1, stages + 1):
        chosen = layers[: round(len(layers) * stage / stages)]
        for parameter in (parameter for _, parameters in chosen for parameter in parameters):
            if id(parameter) not in permuted:
                permuted[id(parameter)] = _permuted(parameter, generator)
        shared = {id(parameter): permuted.get(id(parameter), parameter) for parameter in module.parameters()}
        positions = [order.index(path) if path in order else 0 for path, _ in chosen]
        copies.append(Stage(copy.deepcopy(module, dict(shared)).eval(), min(positions, default=len(order))))
    return copies


def by_layer(module: nn.Module, order: Sequence[str]) -> list[tuple[str, list[nn.Parameter]]]:
    """Return (path, parameters) of every layer with parameters, the top layer first.

    Parameters of a submodule that never runs by itself belong to the layer that contains it; parameters outside any
    layer that runs come last, under the path "".
    """
    layers: dict[str, list[nn.Parameter]] = {path: [] for path in [*reversed(dict.fromkeys(order)), ""]}
    for path, submodule in module.named_modules():
        holder = path
        while holder not in layers:
            holder = holder.rpartition(".")[0]
        layers[holder] += submodule.parameters(recurse=False)
    return [(path, parameters) for path, parameters in layers.items() if parameters]


def _permuted(parameter: nn.Parameter, generator: torch.Generator) -> nn.Parameter:
    order = torch.randperm(parameter.numel(), generator=generator)
    values = parameter.detach().flatten()[order.to(parameter.device)].reshape(parameter.shape)
    return nn.Parameter(values, parameter.requires_grad)


def reestimate_statistics(module: nn.Module, inputs: Tensor, paths: Sequence[str]) -> None:
    """Set running mean and variance of the normalization layers at `paths` to those of a batch (n, c, H, W), in place.

    One forward in eval mode: each layer normalizes by the statistics of its own input, as the layers after it will see.
    """

    def update(layer: nn.Module, args: tuple[Tensor, ...]) -> None:
        values, mean, variance = args[0].detach().float(), layer.running_mean, layer.running_var
        assert isinstance(mean, Tensor)
        assert isinstance(variance, Tensor)
        axes = [axis for axis in range(values.ndim) if axis != 1]
        if values.ndim > 1 and values.shape[1] == mean.numel() and values.numel() > values.shape[1]:
            mean.copy_(values.mean(axes))
            variance.copy_(values.var(axes, correction=0))

    with borrowed(module), torch.no_grad(), hooks() as handles:
        for path in paths:
            layer = module.get_submodule(path)
            if _has_statistics(layer):
                handles.append(layer.register_forward_pre_hook(update))
        module(inputs)


def _has_statistics(layer: nn.Module) -> bool:
    """Return whether a layer normalizes by stored statistics: BatchNorm of any kind, frozen ones too."""
    return all(isinstance(getattr(layer, name, None), Tensor) for name in ("running_mean", "running_var"))


def sample_batch(model: Model) -> Tensor:
    """Return the bundled sample images as one input batch (n, c, H, W); noise for models that cannot read images."""
    return torch.stack(list(_samples(model))).to(model.device)


def _samples(model: Model) -> Iterator[Tensor]:
    how = model.preprocessing
    generator = torch.Generator().manual_seed(0)
    for path in sorted(sample_folder().glob("*.jpg"))[:_IMAGES]:
        try:
            yield torch.from_numpy(prepare(read_image(path), how, "squash")[0])
        except CamvizError:
            yield torch.randn(input_channels(model.module), *how.crop, generator=generator)
