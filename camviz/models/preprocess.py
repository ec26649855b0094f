"""From an image to a model's input, and the view that leads back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from camviz.errors import InputError, RequestError
from camviz.io.notebook import items_of
from camviz.types import Image, Preprocessing, View

if TYPE_CHECKING:
    from PIL import Image as PILImage

_STEP = 32  # a whole image's sides are multiples of it, so that the strides of common models divide them
_LONGEST = 4  # at most so many times the short side
MOST_CHANNELS = 4  # colors and alpha
_LARGEST = 50_000_000  # pixels that an image is resized to


def prepare(image: Image, how: Preprocessing, fit: str = "model") -> tuple[NDArray[np.float32], View]:
    """The model's input (channels, height, width) and the `View` it shows.

    model: as the model was trained, short side resized and the center cropped. whole: the whole image at
    its own aspect ratio, the short side as long as the crop's. squash: the whole image at the crop's size.
    """
    if how.frames > 1:
        message = f"'{image.path or image.name}' is an image, and the model takes clips"
        raise InputError(message, "give a video: camviz heatmap clip.mp4")
    if how.function is not None:
        return _by_function(image, how, fit)
    width, height = image.width, image.height
    if how.longest and fit == "model":
        return _letterboxed(image, how)
    size, crop = _sizes(width, height, how, fit)
    if size[0] * size[1] > _LARGEST:
        shape = f"{size[0]}×{size[1]}"
        raise InputError(f"an image of {width}×{height} is too thin: it would be resized to {shape}", "--fit squash")
    resized = _resized(_as_pil(image, len(how.mean)), size, how)
    left, top = _margin(size[0], crop[0]), _margin(size[1], crop[1])
    if crop != size:  # where the crop is larger, it is filled with black, as torchvision does
        resized = resized.crop((left, top, left + crop[0], top + crop[1]))
    across, down = width / size[0], height / size[1]
    box = (left * across, top * down, (left + crop[0]) * across, (top + crop[1]) * down)
    return _normalized(resized, how), View((width, height), box, crop)


def _by_function(image: Image, how: Preprocessing, fit: str) -> tuple[NDArray[np.float32], View]:
    """The input that the model's own function makes of the image."""
    from camviz.models.measured_view import applied

    assert how.function is not None
    if fit != "model":
        raise RequestError(f"--fit {fit}: the model has its own preprocessing function", "leave --fit out")
    values, view = applied(how.function, _as_pil(image, 3))
    if values.shape[0] != len(how.mean):
        raise InputError(
            f"preprocess gives {values.shape[0]} channels for '{image.name}', {len(how.mean)} for others",
            "return the same number of channels for every image",
        )
    return values, view


def prepare_clip(images: Sequence[Image], how: Preprocessing, fit: str = "model") -> tuple[NDArray[np.float32], View]:
    """The input (channels, frames·height, width) of a model of clips, and the `View` that each frame shows.

    torchvision trained them without antialiasing when it resizes; here it is as for images.
    """
    single = replace(how, frames=1, crop=(how.crop[0] // how.frames, how.crop[1]))
    prepared = [prepare(image, single, fit) for image in images]
    return np.concatenate([values for values, _ in prepared], axis=1), prepared[0][1]


def tensors_as_inputs(tensors: Any, how: Preprocessing) -> Iterator[tuple[Image, NDArray[np.float32], View]]:
    """Yield normalized tensors (c, h, w), or those of batches, with the image that they show."""
    for tensor in items_of(tensors):
        if not hasattr(tensor, "shape"):
            kind = type(tensor).__name__
            raise InputError(f"normalized=True: a {kind} is not a tensor", "give tensors (c, h, w) or (n, c, h, w)")
        whole = tensor.detach().cpu().float().numpy() if hasattr(tensor, "detach") else tensor
        values = np.asarray(whole, np.float32)
        for item in values if values.ndim == 4 else [values]:
            if item.ndim != 3 or len(item) != len(how.mean):
                shape = "×".join(map(str, item.shape))
                raise InputError(f"a tensor of {shape} is no input of {len(how.mean)} channels", "give (c, h, w)")
            mean, std = (np.asarray(part, np.float32)[:, None, None] for part in (how.mean, how.std))
            colors = (item * std + mean)[[0, 0, 0] if len(item) < 3 else [2, 1, 0] if how.order == "bgr" else [0, 1, 2]]
            pixels = np.clip(colors * 255 + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)
            height, width = item.shape[1:]
            view = View((width, height), (0.0, 0.0, float(width), float(height)), (width, height))
            yield Image(np.ascontiguousarray(pixels)), np.ascontiguousarray(item), view


def check_channels(channels: int, name: str = "the model") -> None:
    """Raise `RequestError` for a model of more channels than an image has."""
    if channels > MOST_CHANNELS:
        raise RequestError(
            f"{name} takes {channels} channels, and camviz reads images of one to four channels",
            "explain a model of 1, 2, 3 or 4 channels; more bands are not supported yet",
        )


def _as_pil(image: Image, channels: int) -> PILImage.Image:
    """The image with as many channels: gray, gray and alpha, colors, colors and alpha (opaque if it has none)."""
    from PIL import Image as PILImage

    modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
    check_channels(channels)
    if channels in (2, 4) and image.bands is not None:
        return PILImage.fromarray(image.bands).convert(modes[channels])
    return PILImage.fromarray(image.pixels).convert(modes[channels])


def _normalized(image: PILImage.Image, how: Preprocessing) -> NDArray[np.float32]:
    """(channels, height, width)."""
    pixels = np.asarray(image, np.float32).reshape(image.height, image.width, -1) / np.float32(255)
    if how.order == "bgr":
        pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
    mean, std = np.asarray(how.mean, np.float32), np.asarray(how.std, np.float32)
    return np.ascontiguousarray(((pixels - mean) / std).transpose(2, 0, 1))


def _resized(image: PILImage.Image, size: tuple[int, int], how: Preprocessing) -> PILImage.Image:
    """The image at (width, height)."""
    from PIL import Image as PILImage

    if size == image.size:
        return image
    if how.interpolation != "linear":
        return image.resize(size, PILImage.Resampling[how.interpolation.upper()])
    import cv2

    return PILImage.fromarray(np.asarray(cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_LINEAR), np.uint8))


def _letterboxed(image: Image, how: Preprocessing) -> tuple[NDArray[np.float32], View]:
    """The whole image, short side `resize` unless the long one would pass `longest`, filled up with `fill`."""
    from PIL import Image as PILImage

    assert isinstance(how.resize, int)
    assert how.longest
    width, height = image.width, image.height
    size = _short_side(width, height, how.resize)
    if max(size) > how.longest:
        scale = how.longest / max(width, height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
    across, down = (-(-side // how.multiple) * how.multiple for side in size)
    left, top = ((across - size[0]) // 2, (down - size[1]) // 2) if how.centered else (0, 0)
    filled = PILImage.new("RGB", (across, down), tuple(round(255 * level) for level in how.fill))
    filled.paste(_resized(_as_pil(image, 3), size, how), (left, top))
    x, y = width / size[0], height / size[1]
    box = (-left * x, -top * y, (across - left) * x, (down - top) * y)
    return _normalized(filled, how), View((width, height), box, (across, down))


def _sizes(width: int, height: int, how: Preprocessing, fit: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """(width, height) to resize to, and (width, height) to crop to."""
    crop = (how.crop[1], how.crop[0])
    if fit == "squash" or (fit == "model" and how.resize is None):
        return crop, crop
    if fit == "model":
        if isinstance(how.resize, tuple):
            return (how.resize[1], how.resize[0]), crop
        assert how.resize is not None
        return _short_side(width, height, how.resize), crop
    if fit == "whole":
        short = min(crop)
        long = min(short * max(width, height) / min(width, height), short * _LONGEST)
        sides = {True: _multiple(long), False: _multiple(short)}
        size = (sides[width >= height], sides[width < height]) if width != height else (sides[False],) * 2
        return size, size
    raise RequestError(f"no fit '{fit}'", "use model, whole or squash")


def _margin(size: int, crop: int) -> int:
    """Where torchvision's CenterCrop starts; negative where it fills up."""
    return round((size - crop) / 2) if size >= crop else -((crop - size) // 2)


def _short_side(width: int, height: int, short: int) -> tuple[int, int]:
    """torchvision's Resize(short): the long side is cut to an integer, not rounded."""
    if width <= height:
        return short, int(short * height / width)
    return int(short * width / height), short


def _multiple(side: float) -> int:
    return max(_STEP, math.floor(side / _STEP + 0.5) * _STEP)
