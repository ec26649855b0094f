"""Read images: decode them and prepare them for a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from camviz.io.images import read_image
from camviz.io.inputs import Input
from camviz.models.preprocess import prepare
from camviz.types import Image, Model, View


@dataclass(frozen=True, eq=False)
class Ready:
    """A prepared image: `values` (channels, H, W) is the model's input, `view` maps it back onto the image."""

    source: Input
    image: Image
    values: NDArray[np.float32]
    view: View


def read_input(model: Model, source: Input, fit: str) -> Ready:
    """Decode and prepare one input; raises `InputError`."""
    if source.error:
        raise source.error
    image = read_image(source.path, model.preprocessing.window)
    return Ready(source, image, *prepare(image, model.preprocessing, fit))


def shape_of(ready: Ready) -> tuple[int, ...]:
    """Return the shape of the model's input; images of one shape fit into one batch."""
    return ready.values.shape
