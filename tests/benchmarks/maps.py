"""All channels of a layer as images: one ranked montage, beside a loop that saves an image per channel."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image as PILImage

from camviz.feature_maps.figures import channels
from camviz.feature_maps.maps import FeatureMaps
from camviz.render import encode
from camviz.types import Image, Look, View
from tests.benchmarks.timing import Run, alternate, table

SHAPE = (2048, 7, 7)  # resnet50's layer4
GOAL = 0.5  # seconds after the forward, for every channel of it


def activations(shape: tuple[int, int, int] = SHAPE) -> FeatureMaps:
    """What a trained layer behind a ReLU looks like: two thirds zeros, channels of very different loudness."""
    rng = np.random.default_rng(0)
    values = np.maximum(rng.normal(-0.4, 1, shape), 0) * rng.exponential(1, (shape[0], 1, 1))
    image = Image(np.zeros((224, 224, 3), np.uint8))
    view = View((224, 224), (0, 0, 224, 224), (224, 224))
    return FeatureMaps(values.astype(np.float32), "layer4", "resnet50", image, view)


@contextmanager
def ranked_montage(maps: FeatureMaps) -> Iterator[Run]:
    """Ranked, colored on one scale, numbered, with shares of the energy, written as one PNG."""
    with TemporaryDirectory() as folder:

        def run() -> int:
            return (Path(folder) / "montage.png").write_bytes(encode(channels(maps, top=len(maps.values)), Look()))

        yield run


@contextmanager
def image_per_channel(maps: FeatureMaps) -> Iterator[Run]:
    """The usual loop: each channel stretched to its own extremes, in gray, enlarged, and saved."""
    with TemporaryDirectory() as folder:

        def run() -> None:
            for number, one in enumerate(maps.values):
                stretched = (one - one.min()) / max(float(one.max() - one.min()), 1e-12)
                tile = PILImage.fromarray((255 * stretched).astype(np.uint8)).resize(
                    (224, 224), PILImage.Resampling.NEAREST
                )
                tile.save(Path(folder) / f"{number}.png")

        yield run


def features(rounds: int, cpu: bool) -> dict[str, float]:
    """Seconds for all channels."""
    maps = activations()
    contenders = {
        "ranked montage": partial(ranked_montage, maps),
        "an image per channel": partial(image_per_channel, maps),
    }
    return {name: statistics.median(times) for name, times in alternate(contenders, rounds, cpu=cpu).items()}


def features_table(rounds: int, cpu: bool) -> str:
    """One row."""
    found = features(rounds, cpu)
    header = ["features", *(f"{name}, s" for name in found)]
    return table(header, [[f"resnet50 layer4, {SHAPE[0]} maps", *found.values()]])
