"""The interface of methods: activations, gradients and scores at one layer, for one target per image."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from camviz.engine.attention_flow import Attention
from camviz.engine.forward import ForwardPass, call, rescore, rows_of, run_forward
from camviz.engine.tail_replay import spread, substituted
from camviz.errors import ModelError
from camviz.hooks.capture import borrowed, replaced, watch, with_first_tensor
from camviz.hooks.devices import autocast
from camviz.hooks.relu_rules import ReluRule, Rule
from camviz.models.typed import layers_command
from camviz.types import Layer, Target


@dataclass(eq=False)
class Reading:
    """One target per image, read from one forward pass; gradients are computed once for all layers."""

    passed: ForwardPass
    targets: Sequence[Target]

    @cached_property
    def scores(self) -> Tensor:
        """S (n,), differentiable."""
        with torch.set_grad_enabled(self.passed.ask.gradients):
            return self.read(self.passed.rows)

    def read(self, rows: Any) -> Tensor:
        """Return each image's score (n,) from its output row."""
        return torch.stack([target.read(row) for target, row in zip(self.targets, rows, strict=True)])

    @cached_property
    def gradients(self) -> dict[str, Tensor]:
        """dS/d(output) for every captured layer."""
        return self.backward(self.scores)

    def backward(self, scores: Tensor) -> dict[str, Tensor]:
        """Return the gradients of the summed scores at every captured layer."""
        paths = list(self.passed.captured)
        grads: Sequence[Tensor | None] = [None] * len(paths)
        if scores.requires_grad:
            tensors = [self.passed.captured[path] for path in paths]
            grads = torch.autograd.grad(scores, tensors, torch.ones_like(scores), True, allow_unused=True)
        name, listing = self.passed.ask.model.name, layers_command(self.passed.ask.model)
        for path, grad in zip(paths, grads, strict=True):
            if grad is None:
                raise ModelError(
                    f"no gradient flows from the score to layer '{path}' of {name}: the score does not depend on it, "
                    "or the forward uses no_grad or detach",
                    f"{listing} marks the default layer; methods without gradients work too",
                )
        return {path: grad for path, grad in zip(paths, grads, strict=True) if grad is not None}


@dataclass(eq=False)
class Probe:
    """One layer of a reading. Methods add facts to `facts`, one dict per image."""

    reading: Reading
    layer: Layer
    facts: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.facts = self.facts or [{} for _ in self.targets]

    @property
    def targets(self) -> Sequence[Target]:
        """One per image."""
        return self.reading.targets

    @property
    def inputs(self) -> Tensor:
        """The model's input (n, channels, H, W), normalized."""
        return self.reading.passed.inputs

    @property
    def logits(self) -> Tensor:
        """(n, classes), differentiable down to the layer. Raises `ModelError` when there are no classes."""
        rows = self.reading.passed.rows
        if isinstance(rows, Tensor) and rows.ndim == 2:
            return rows
        raise ModelError(
            f"the output of {self.reading.passed.ask.model.name} is not one row of class scores per image",
            "--method gradcam explains any score",
        )

    @property
    def scores(self) -> Tensor:
        """S (n,)."""
        return self.reading.scores.detach()

    def maps(self, tensor: Tensor) -> Tensor:
        """Return a tensor of the layer's shape as maps (n, c, h, w), float32."""
        height, width = self.inputs.shape[2:]
        return self.layer.to_maps(tensor.detach(), (height, width)).float()

    @cached_property
    def activations(self) -> Tensor:
        """A: the layer's output as (n, c, h, w), float32."""
        return self.maps(self.reading.passed.captured[self.layer.path])

    @cached_property
    def gradients(self) -> Tensor:
        """G = dS/dA as (n, c, h, w), float32, of each image's score."""
        return self.maps(self.reading.gradients[self.layer.path])

    def gradients_of(self, scores: Tensor) -> Tensor:
        """Return dS'/dA (n, c, h, w) for other scores S' (n,) computed from `logits`."""
        return self.maps(self.reading.backward(scores)[self.layer.path])

    @cached_property
    def hessian_product(self) -> Tensor:
        """H·A (n, c, h, w), H the second derivative of S; zero where the model is piecewise linear after A."""
        try:
            return self._hessian_product()
        except RuntimeError as error:
            if "double backward" in str(error):
                raise ModelError(
                    f"an operation of {self.reading.passed.ask.model.name} has no second derivative: {error}",
                    "--method gradcam needs first derivatives only",
                ) from error
            if "is not implemented" not in str(error):
                raise
        with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative, the math backend does
            return self.again(self.inputs)._hessian_product()

    def _hessian_product(self) -> Tensor:
        stored = self.reading.passed.captured[self.layer.path]
        with torch.enable_grad():
            (first,) = torch.autograd.grad(self.reading.scores.sum(), stored, create_graph=True)
            if not first.requires_grad:
                return torch.zeros_like(self.activations)
            product = (first * stored.detach()).sum()
            (second,) = torch.autograd.grad(product, stored, retain_graph=True, allow_unused=True)
        return torch.zeros_like(self.activations) if second is None else self.maps(second)

    @cached_property
    def linear_head(self) -> tuple[Tensor, Tensor]:
        """(W, A): each image's target weights (n, c) and the maps (n, c, h, w) whose mean they are applied to.

        Raises `ModelError` unless the layer is averaged and goes into one linear layer that gives the scores.
        """
        head = self.reading.passed.head
        if head is None:
            raise self._no_head("its scores do not come from one linear layer or 1×1 convolution")
        weight, head_input = head
        for maps in (self.activations, self.activations.clamp(min=0)):  # DenseNet has a ReLU in between
            pooled = maps.mean((2, 3))
            if pooled.shape == head_input.shape and torch.allclose(pooled, head_input.float(), rtol=1e-2, atol=1e-3):
                with torch.enable_grad():
                    logits = self.logits.detach().requires_grad_()
                    (share,) = torch.autograd.grad(self.reading.read(logits).sum(), logits)
                return share @ weight.float(), maps
        raise self._no_head(f"layer '{self.layer.path}' is not averaged straight into its last linear layer")

    def _no_head(self, why: str) -> ModelError:
        return ModelError(
            f"method 'cam' cannot work on {self.reading.passed.ask.model.name}: {why}",
            "--method gradcam needs no such head, and equals cam where there is one",
        )

    @cached_property
    def attention(self) -> Attention:
        """The model's attention over the inputs, of all layers."""
        passed = self.reading.passed

        def scores(output: Any, start: int, stop: int) -> Tensor:
            return Reading(passed, self.targets[start:stop]).read(rows_of(passed.ask, output, stop - start))

        return Attention(passed.ask, self.inputs, scores)

    # other inputs

    def gray(self, level: float) -> Tensor:
        """Return a gray level, 0 black to 1 white, as a normalized input (1, channels, 1, 1)."""
        preprocessing = self.reading.passed.ask.model.preprocessing
        mean, std = (torch.tensor(x, device=self.inputs.device) for x in (preprocessing.mean, preprocessing.std))
        return ((level - mean) / std)[None, :, None, None]

    def upsample(self, maps: Tensor) -> Tensor:
        """Return maps (m, c, h, w) at the input's size, bilinear, align_corners=False."""
        return F.interpolate(maps, size=self.inputs.shape[2:], mode="bilinear", align_corners=False)

    def masked(self, image: int, masks: Tensor) -> Tensor:
        """Return one image under masks (m, 1, H, W): X ⊙ mask before normalization, so that 0 is black."""
        black = self.gray(0)
        return black + masks * (self.inputs[image : image + 1] - black)

    @cached_property
    def stages(self) -> list[Probe]:
        """The last layer of every finer resolution, then this layer."""
        paths = self.reading.passed.ask.stages.get(self.layer.path, ())
        return [*(Probe(self.reading, layer, self.facts) for layer in paths), self]

    def again(self, inputs: Tensor) -> Probe:
        """Return a probe of the same layer and targets for other inputs (n, channels, H, W): one more forward."""
        return Probe(Reading(run_forward(self.reading.passed.ask, inputs), self.targets), self.layer, self.facts)

    def generators(self, purpose: str) -> list[torch.Generator]:
        """Return one random generator per image, seeded by the job's seed and the image, not by the batch."""
        seed = self.reading.passed.ask.seed
        generators = []
        for image in self.inputs:
            digest = zlib.crc32(image.cpu().numpy().tobytes(), zlib.crc32(f"{seed} {purpose}".encode()))
            generators.append(torch.Generator().manual_seed(digest))
        return generators

    def noisy(self, samples: int, noise: float) -> Iterator[Tensor]:
        """Yield `samples` inputs with Gaussian noise of standard deviation `noise` × each image's range."""
        generators = self.generators("noise")
        flat = self.inputs.flatten(1)
        spread_ = (flat.amax(1) - flat.amin(1))[:, None, None, None]
        for _ in range(samples):
            drawn = [torch.randn(self.inputs.shape[1:], generator=generator) for generator in generators]
            yield self.inputs + noise * spread_ * torch.stack(drawn).to(self.inputs)

    def input_gradients(self, inputs: Tensor | None = None, rule: Rule | None = None) -> Tensor:
        """Return dS/d(input) (n, channels, H, W), with another backward rule for ReLUs if `rule` is set."""
        model = self.reading.passed.ask.model
        inputs = (self.inputs if inputs is None else inputs).detach().clone().requires_grad_()
        with ReluRule(rule) if rule else nullcontext() as mode:
            scores = self._scores_through(inputs)
        if mode and not mode.met:
            raise ModelError(
                f"{model.name} has no ReLU, which guided backpropagation and deconvnet modify",
                "--method gradient, smoothgrad or integrated-gradients works on any model",
            )
        (gradient,) = torch.autograd.grad(scores.sum(), inputs, allow_unused=True)
        if gradient is None:
            raise self._not_differentiable()
        return gradient.float()

    def bias_gradients(self) -> tuple[Tensor, list[Tensor]]:
        """Return dS/d(input) (n, channels, H, W), and b ⊙ dS/d(output) (n, c, h, w) of every layer with bias and grid.

        The bias of BatchNorm is β - μγ/σ. Linear and LayerNorm count on channels-last grids (n, h, w, c); after pooling
        they have no positions. Raises `ModelError` where they act on tokens or windows, whose positions are unknown.
        """
        module = self.reading.passed.ask.model.module
        biases = {path: bias for path, part in module.named_modules() if (bias := implicit_bias(part)) is not None}
        outputs: list[tuple[str, Tensor]] = []

        def record(path: str, _module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
            outputs.append((path, output))
            return output.clone()  # a later in-place operation must not change the tensor that is differentiated

        inputs = self.inputs.detach().clone().requires_grad_()
        with watch({path: module.get_submodule(path) for path in biases}, record):
            scores = self._scores_through(inputs)
        tensors = [inputs, *(output for _, output in outputs)]
        grads = torch.autograd.grad(scores.sum(), tensors, allow_unused=True)
        products = []
        for (path, output), grad in zip(outputs, grads[1:], strict=True):
            if grad is None or output.ndim == 2:
                continue
            last = isinstance(module.get_submodule(path), nn.Linear | nn.LayerNorm)
            if last and (output.ndim != 4 or len(output) != len(inputs)):
                raise ModelError(
                    f"method 'fullgrad' needs the positions of all biases, and layer '{path}' of "
                    f"{self.reading.passed.ask.model.name} acts on tokens or windows",
                    "--method integrated-gradients or gradient-x-input works on transformers",
                )
            if output.ndim == 4 and len(output) == len(inputs):  # not one for each box
                grad = grad.permute(0, 3, 1, 2) if last else grad
                products.append(biases[path][None, :, None, None] * grad)
        return tensors[0].new_zeros(()) if grads[0] is None else grads[0].float(), products

    def _scores_through(self, inputs: Tensor) -> Tensor:
        """Return S (n,), differentiable with respect to the inputs."""
        ask = self.reading.passed.ask
        with torch.enable_grad(), borrowed(ask.model.module), autocast(inputs.device, ask.precision):
            output = call(ask.model, inputs)
            scores = self.reading.read(rows_of(ask, output, len(inputs)))
        if not scores.requires_grad:
            raise self._not_differentiable()
        return scores

    def _not_differentiable(self) -> ModelError:
        return ModelError(
            f"no gradient flows from the score of {self.reading.passed.ask.model.name} to its input",
            "--method rise or occlusion needs no gradient",
        )

    # many forwards

    def score_inputs(self, image: int, total: int, batch: Callable[[int, int], Tensor], kind: str = "") -> Tensor:
        """Return the scores (total,) of one image's target for the inputs that `batch(start, stop)` makes."""
        return rescore(self.reading.passed.ask, self.targets[image], total, batch, kind)

    def score_activations(self, image: int, total: int, alter: Callable[[int, int], Tensor]) -> Tensor:
        """Return the scores (total,) of one image's target with the layer's maps replaced by `alter`'s (m, c, h, w).

        Replays only the tail after the layer where that reproduces the recorded logits, else the whole model;
        `facts["rescored"]` is "tail" or "whole model".
        """
        tail = self.replays
        self.facts[image]["rescored"] = "tail" if tail else "whole model"
        run = self._replay if tail else self._replace
        ask = self.reading.passed.ask

        def compute(start: int, stop: int) -> Tensor:
            return self.targets[image].read_all(run(image, alter(start, stop)))

        with borrowed(ask.model.module), torch.inference_mode(), autocast(self.inputs.device, ask.precision):
            return ask.chunks.run(total, compute)

    @cached_property
    def replays(self) -> bool:
        """Whether replaying the tail with the layer's own activations gives the recorded output."""
        passed = self.reading.passed
        if self.layer.path not in passed.ask.frozen:
            return False
        model = passed.ask.model
        try:
            with borrowed(model.module), torch.no_grad(), autocast(self.inputs.device, passed.ask.precision):
                # clones: an in-place operation after the layer would overwrite the activations
                rows = [self._replay(i, self.activations[i : i + 1].clone()) for i in range(len(self.targets))]
        except Exception:  # if the replay fails for any reason, the whole model still works
            return False
        if isinstance(passed.rows, Tensor):
            before, again = passed.rows.detach(), torch.cat(rows)
        else:
            before, again = self.scores, self.reading.read([row for part in rows for row in part])
        scale = float(before.where(before.isfinite(), 0).abs().max())
        return bool(torch.allclose(again, before, rtol=1e-3, atol=1e-4 * max(scale, 1e-3), equal_nan=True))

    def _altered(self, image: int, maps: Tensor) -> Any:
        """Return the layer's whole output for one image with other maps (m, c, h, w)."""
        passed = self.reading.passed
        output = spread(passed.outputs[self.layer.path], image, len(self.targets), len(maps))
        stored = passed.captured[self.layer.path].detach()
        like = spread(stored, image, len(self.targets), len(maps))
        return with_first_tensor(output, self.layer.from_maps(maps, like).to(stored.dtype))

    def _replay(self, image: int, maps: Tensor) -> Any:
        passed = self.reading.passed
        model, count = passed.ask.model, len(maps)
        outputs = {
            path: spread(passed.outputs[path], image, len(self.targets), count)
            for path in passed.ask.frozen[self.layer.path]
        }
        outputs[self.layer.path] = self._altered(image, maps)
        with substituted(model.module, outputs):
            return rows_of(passed.ask, call(model, self.inputs[image : image + 1].expand(count, -1, -1, -1)), count)

    def _replace(self, image: int, maps: Tensor) -> Any:
        ask, count = self.reading.passed.ask, len(maps)
        like = spread(self.reading.passed.captured[self.layer.path].detach(), image, len(self.targets), count)
        altered = self.layer.from_maps(maps, like).to(like.dtype)
        inputs = self.inputs[image : image + 1].expand(count, -1, -1, -1)
        with replaced(ask.model.module, self.layer.path, altered):
            return rows_of(ask, call(ask.model, inputs), count)


def implicit_bias(part: nn.Module) -> Tensor | None:
    """Return the constant that a layer adds to its output (c,); None for layers without one."""
    if isinstance(part, nn.LayerNorm) and len(part.normalized_shape) > 1:
        return None
    if isinstance(part, nn.Conv2d | nn.Linear | nn.LayerNorm):
        return None if part.bias is None else part.bias.detach()
    if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None and part.running_var is not None:
        scale = torch.rsqrt(part.running_var + part.eps) * (1 if part.weight is None else part.weight.detach())
        return (0 if part.bias is None else part.bias.detach()) - part.running_mean * scale
    return None
