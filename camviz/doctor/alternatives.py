"""Try other ways to prepare the images, and judge them: by class names in paths, BatchNorm statistics or confidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from camviz.doctor.examination import Examination, most_images
from camviz.errors import CamvizError
from camviz.hooks.capture import borrowed, hooks
from camviz.types import Order, Preprocessing, View

STATISTICS = {
    "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "-1 to 1": ((0.5,) * 3, (0.5,) * 3),
    "0 to 1": ((0.0,) * 3, (1.0,) * 3),
}
SIZES = (32, 64, 128, 224)
_FIRST = 8  # images that an alternative must fit better, on average, to be tried on the others
_SMALL_CROP = 0.35  # of the image's area: a smaller crop is unusual

Evidence = Callable[[Tensor], Tensor]  # inputs (n, c, H, W) -> one number per image, larger for a better fit


@dataclass(frozen=True)
class Alternative:
    """Another way to prepare the images: in words, the options that choose it, and the inputs (n, c, H, W)."""

    kind: str  # one of ALL_KINDS
    name: str
    options: str
    inputs: Callable[[int], Tensor]  # of so many images


@dataclass(frozen=True)
class Judge:
    """A measure of fit: its name, images that it needs, and by how much it must rise to be certain.

    A rise counts if its mean is over `errors` standard errors and over `rise` (with `relative`: times the value now).
    """

    name: str
    evidence: Evidence
    needs: int
    errors: float
    rise: float
    relative: bool
    kinds: tuple[str, ...]
    least: float = -math.inf  # of the mean with an alternative: below it the names themselves are wrong

    def better(self, now: Tensor, other: Tensor) -> float:
        """Return the mean rise if it is certain by its size or by its sign in most images, 0 if not."""
        rise = (other - now)[torch.isfinite(other - now)]
        if len(rise) < self.needs or float(other.nanmean()) < self.least:
            return 0.0
        mean, error = float(rise.mean()), float(rise.std()) / len(rise) ** 0.5
        least = self.rise * abs(float(now.nanmean())) if self.relative else self.rise
        sign = float(rise.sign().sum()) / len(rise) ** 0.5  # in standard errors of a fair coin
        return mean if mean > least and max(sign, mean / max(error, 1e-12)) > self.errors else 0.0


ALL_KINDS = ("normalization", "channel order", "orientation", "crop", "input size")


def judges(e: Examination) -> Iterator[Judge]:
    """Yield the measure for each kind of alternative: the most sensitive one for the model and the images."""
    kinds: tuple[str, ...] = ALL_KINDS
    if running_layers(e.model.module):
        shared = ("normalization", "input size")
        evidence = lambda inputs: -statistics_gap(e, inputs).mean(1)  # noqa: E731
        yield Judge("BatchNorm statistics", evidence, 4, 4, 0.35, True, shared)
        kinds = tuple(kind for kind in kinds if kind not in shared)
    if len(e.named_classes) >= 8:
        least = math.log(2 / len(e.model.labels))  # twice the chance of guessing
        name = "the probability of the class in the file's path"
        yield Judge(name, e.log_likelihood, 8, 3, 0.15, False, kinds, least)
    else:
        kinds = tuple(kind for kind in kinds if kind != "input size")  # small images can make a model surer and wrong
        yield Judge("the confidence", e.confidence, 8, 4, 0.08, False, kinds)


def best_alternative(e: Examination) -> tuple[Alternative, Judge, float, float] | None:
    """Return (alternative that certainly fits better, judge, its measure now, its measure then); None without one."""
    if "best" not in e.memo:
        e.memo["best"] = _best(e)
    best: tuple[Alternative, Judge, float, float] | None = e.memo["best"]
    return best


def _best(e: Examination) -> tuple[Alternative, Judge, float, float] | None:
    for judge in judges(e):
        now = judge.evidence(e.inputs[: most_images(e.model)])
        best: tuple[float, Alternative, float] | None = None
        for alternative in alternatives(e):
            if alternative.kind not in judge.kinds:
                continue
            try:
                if not float((judge.evidence(alternative.inputs(_FIRST)) - now[:_FIRST]).nanmean()) > 0:
                    continue
                other = judge.evidence(alternative.inputs(most_images(e.model)))
            except CamvizError:  # a size that the model does not accept
                continue
            rise = judge.better(now, other)
            if rise and (best is None or rise > 1.02 * best[0]):  # of equal ones the first, which changes less
                best = rise, alternative, float(other.mean())
        if best:
            return best[1], judge, float(now.mean()), best[2]
    return None


def alternatives(e: Examination) -> Iterator[Alternative]:
    """Yield the alternatives, those that change one thing before those that change two."""
    how = e.model.preprocessing
    if len(how.mean) == 3:
        other: Order = "bgr" if how.order == "rgb" else "rgb"
        fitting = {name: pair for name, pair in STATISTICS.items() if not _close(pair, (how.mean, how.std))}
        for name, (mean, std) in fitting.items():
            words = f"--mean {_numbers(mean)} --std {_numbers(std)}"
            yield _prepared(e, "normalization", f"{name} normalization", words, replace(how, mean=mean, std=std))
        yield _prepared(
            e, "channel order", f"{other.upper()} order", f"--channel-order {other}", replace(how, order=other)
        )
        for name, (mean, std) in fitting.items():
            words = f"--mean {_numbers(mean)} --std {_numbers(std)} --channel-order {other}"
            changed = replace(how, mean=mean, std=std, order=other)
            yield _prepared(e, "normalization", f"{name} normalization in {other.upper()} order", words, changed)
    if e.request.fit == "model" and sorted(map(_share, e.views))[len(e.views) // 2] < _SMALL_CROP:
        whole = lambda n: e.prepared(how, n, "squash")  # noqa: E731
        yield Alternative("crop", "the whole image", "--fit squash", whole)
    height, width = e.inputs.shape[2:]
    yield Alternative("orientation", "upside down", "", lambda n: e.inputs[:n].flip(2))
    if height == width:
        yield Alternative("orientation", "transposed", "", lambda n: e.inputs[:n].transpose(2, 3).contiguous())
    for side in SIZES:
        if (
            side not in (height, width) and side <= 2 * min(height, width) and how.frames == 1
        ):  # larger ones cost too much
            yield Alternative("input size", f"{side}×{side}", f"--input-size {side}", _resized(e, side))


def _share(view: View) -> float:
    left, top, right, bottom = view.box
    return (right - left) * (bottom - top) / (view.image[0] * view.image[1])


def _prepared(e: Examination, kind: str, name: str, words: str, how: Preprocessing) -> Alternative:
    return Alternative(kind, name, words, lambda n: e.prepared(how, n))


def _resized(e: Examination, side: int) -> Callable[[int], Tensor]:
    return lambda n: F.interpolate(e.inputs[:n], (side, side), mode="bilinear", antialias=True)


def _close(first: tuple[tuple[float, ...], ...], second: tuple[tuple[float, ...], ...]) -> bool:
    pairs = zip(sum(first, ()), sum(second, ()), strict=True)
    return all(abs(a - b) < 0.03 for a, b in pairs)


def _numbers(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)


def running_layers(module: nn.Module) -> list[nn.Module]:
    """Return the BatchNorm layers with running statistics; those of folded layers, 0 and 1, say nothing."""
    norms = (layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm))
    return [layer for layer in norms if layer.running_mean is not None and not _as_initialized(layer)]


def _as_initialized(norm: nn.Module) -> bool:
    mean, variance = norm.running_mean, norm.running_var
    assert isinstance(mean, Tensor)
    assert isinstance(variance, Tensor)
    return not bool(mean.any()) and bool(torch.allclose(variance, torch.ones_like(variance), atol=1e-3))


def statistics_gap(e: Examination, inputs: Tensor) -> Tensor:
    """Return the distance between each image's activations and the running statistics, (n, BatchNorm layers that ran).

    log(1 + KL divergence) of normal distributions with the image's and the running mean and variance, averaged over
    channels.
    """
    gaps: list[Tensor] = []

    def record(layer: nn.Module, args: tuple[Tensor, ...]) -> None:
        values, mean, variance = args[0].float(), layer.running_mean, layer.running_var
        if values.ndim != 4 or len(values) != len(inputs):
            return
        assert isinstance(mean, Tensor)
        assert isinstance(variance, Tensor)
        eps = 1e-5
        own_mean, own_variance = values.mean((2, 3)), values.var((2, 3), correction=0)
        ratio = (own_variance + eps + (own_mean - mean) ** 2) / (variance + eps)
        divergence = ((variance + eps) / (own_variance + eps)).log() + ratio - 1
        gaps.append((divergence / 2).clamp(min=0).log1p().mean(1))

    with borrowed(e.model.module), torch.no_grad(), hooks() as handles:
        for layer in running_layers(e.model.module):
            handles.append(layer.register_forward_pre_hook(record))
        e.output(inputs)
    return torch.stack(gaps, 1) if gaps else torch.full((len(inputs), 1), math.nan)
