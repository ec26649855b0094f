"""Trains the demo model: `python -m tools.demo.train --bf16 --compile`, about three quarters of an hour on two cores.

Every scene is drawn on the spot and seen twice, the second time turned over and recolored. Scenes begin plain, with
one large shape, and reach their final clutter after a quarter of the run. The model learns the kind of the largest
shape from the mean of its last feature maps and, from the masks, which kind shows at which place.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset
from torchvision.models import EfficientNet

from camviz.demo.model import MEAN, STD, STRIDE, WEIGHTS, blank
from tools.demo.scenes import KINDS, Scene, draw_scene

SHARPNESS = 16.0  # the logit is the mean evidence times this; folded into the weights in the end
SIZES = ((128, 128), (128, 128), (160, 112), (112, 160))  # pixels; all of nearly the same area


@dataclass(frozen=True)
class Settings:
    """What a run depends on; `minutes` ends a slow run early, with the learning rate brought down in time."""

    steps: int = 7_500
    batch: int = 64
    rate: float = 4e-3
    seed: int = 1
    minutes: float = 55.0
    workers: int = 1
    threads: int = 1  # beside the worker that draws
    bf16: bool = False
    compile: bool = False


@dataclass(frozen=True)
class Batch:
    """Images (n, 3, h, w) uint8, labels (n,), and the share every kind has of every cell (n, kinds, h/8, w/8)."""

    images: Tensor
    labels: Tensor
    shares: Tensor

    def varied(self, rng: np.random.Generator) -> "Batch":
        """The same scenes mirrored, transposed, with their colors exchanged or inverted."""
        images, shares = self.images[:, [int(c) for c in rng.permutation(3)]], self.shares
        if rng.random() < 0.5:
            images = 255 - images
        axes = [axis for axis in (2, 3) if rng.random() < 0.5]
        images, shares = images.flip(axes), shares.flip(axes)
        if rng.random() < 0.5:
            images, shares = images.transpose(2, 3), shares.transpose(2, 3)
        return Batch(images, self.labels, shares)


def shares(scene: Scene) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """How much of every cell of the last feature map each kind covers, (kinds, h/8, w/8)."""
    import cv2

    height, width = scene.image.shape[0] // STRIDE, scene.image.shape[1] // STRIDE
    cells = np.zeros((len(KINDS), height, width), np.float32)
    for shape in scene.shapes:
        small = cv2.resize(shape.mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        cells[KINDS.index(shape.kind)] += small
    return cells


class Scenes(IterableDataset[Batch]):
    """The batches of one run, from easy to hard; drawn again from the seed whenever iterated."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.count = math.ceil(settings.steps / 2)

    def __iter__(self) -> Iterator[Batch]:
        import cv2

        cv2.setNumThreads(1)  # the second core belongs to the training
        rng = np.random.default_rng([self.settings.seed, 0])
        for index in range(self.count):
            yield self.draw(rng, index / self.count)

    def draw(self, rng: np.random.Generator, progress: float) -> Batch:
        """One batch for a point 0..1 of the run."""
        width, height = SIZES[int(rng.integers(len(SIZES)))]
        hardest, most = min(1.0, progress * 4), 1 if progress < 0.04 else 4
        scenes = []
        for _ in range(self.settings.batch):
            difficulty = hardest if rng.random() < 0.9 else hardest * rng.random()
            scenes.append(draw_scene(rng, width, height, shapes=(1, most), difficulty=difficulty))
        images = torch.from_numpy(np.stack([scene.image for scene in scenes])).permute(0, 3, 1, 2)
        labels = torch.tensor([KINDS.index(scene.dominant.kind) for scene in scenes])
        return Batch(images, labels, torch.from_numpy(np.stack([shares(scene) for scene in scenes])))


def losses(model: EfficientNet, features: Tensor, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
    """The loss of one batch and its logits (n, kinds)."""
    linear = model.classifier[1]
    assert isinstance(linear, nn.Linear)
    evidence = F.conv2d(features, linear.weight[:, :, None, None], linear.bias)  # (n, kinds, h, w)
    logits = SHARPNESS * evidence.mean((2, 3))
    covered = batch.shares.clamp(0, 1)
    where = F.binary_cross_entropy_with_logits(evidence, covered)
    which = -(F.log_softmax(evidence, 1) * covered).sum() / covered.sum()
    # before the cells are told apart their mean says nothing and its gradient is noise
    weight = min(1.0, 0.1 + 3 * progress)
    return weight * F.cross_entropy(logits, batch.labels) + 5 * where + which, logits


class Average:
    """The exponential moving average of a model's weights and statistics."""

    def __init__(self, model: nn.Module) -> None:
        self.state = model.state_dict()
        self.names = [name for name, value in self.state.items() if value.is_floating_point()]
        self.live = [self.state[name] for name in self.names]
        self.mean = [value.clone() for value in self.live]
        self.count = 0

    def update(self) -> None:
        """Takes in the present weights; young averages forget faster."""
        self.count += 1
        torch._foreach_lerp_(self.mean, self.live, 1 - min(0.998, self.count / (self.count + 10)))

    def save(self, path: Path) -> None:
        """Writes the averaged weights, the sharpness folded into the classifier."""
        from safetensors.torch import save

        weights = self.state | dict(zip(self.names, self.mean, strict=True))
        scaled = {n: v * SHARPNESS if n.startswith("classifier") else v for n, v in weights.items()}
        path.write_bytes(save({name: value.contiguous() for name, value in scaled.items()}))


def train(settings: Settings, output: Path) -> list[float]:
    """Trains, writes the weights to `output` now and then and in the end; returns the loss of every step."""
    torch.manual_seed(settings.seed)
    model = blank().to(memory_format=torch.channels_last).train()
    with torch.no_grad():
        model.classifier[1].weight.mul_(0.1)  # quiet evidence to begin with
    forward = torch.compile(model.features, dynamic=False) if settings.compile else model.features
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.rate, weight_decay=0.02)
    average, start = Average(model), time.monotonic()
    history: list[float] = []
    right: list[float] = []
    mean, std = (torch.tensor(value).view(3, 1, 1) * 255 for value in (MEAN, STD))
    for batch in batches(settings):
        minutes = (time.monotonic() - start) / 60
        progress = max(len(history) / settings.steps, minutes / settings.minutes)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * pace(progress)
        images = ((batch.images - mean) / std).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
            features = forward(images)
        loss, logits = losses(model, features.float(), batch, progress)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        average.update()
        history.append(loss.item())
        right.append((logits.argmax(1) == batch.labels).float().mean().item())
        if len(history) % 100 == 0:
            report(minutes, history, right)
            average.save(output)
    average.save(output)
    return history


def batches(settings: Settings) -> Iterator[Batch]:
    """Every drawn batch, followed by its variation."""
    rng = np.random.default_rng([settings.seed, 1])
    for drawn in DataLoader(Scenes(settings), batch_size=None, num_workers=settings.workers):
        yield drawn
        yield drawn.varied(rng)


def report(minutes: float, history: list[float], right: list[float]) -> None:
    """One line about the last hundred steps, for people."""
    loss, share = np.mean(history[-100:]), np.mean(right[-100:])
    print(f"step {len(history)}: {minutes:.1f} min, loss {loss:.3f}, right {share:.1%}", file=sys.stderr)


def pace(progress: float) -> float:
    """The learning rate's share of its highest value: up in a twentieth of the run, then down a cosine."""
    return min(progress / 0.05, 0.5 + 0.5 * math.cos(math.pi * progress)) + 1e-3


def main() -> None:
    """Reads the command line and trains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Settings()
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    for name in ("steps", "batch", "seed", "workers", "threads"):
        parser.add_argument(f"--{name}", type=int, default=getattr(default, name))
    for name in ("rate", "minutes"):
        parser.add_argument(f"--{name}", type=float, default=getattr(default, name))
    parser.add_argument("--bf16", action="store_true", help="faster on a processor that knows bfloat16")
    parser.add_argument("--compile", action="store_true", help="faster where a C++ compiler is installed")
    chosen = vars(parser.parse_args())
    output, settings = chosen.pop("output"), Settings(**chosen)
    torch.set_num_threads(settings.threads)
    train(settings, output)


if __name__ == "__main__":
    main()
