"""From a picture to a network's input, and the view that leads back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import NDArray

from camviz.errors import InputError, RequestError
from camviz.types import Fit, Picture, Preprocessing, View

if TYPE_CHECKING:
    from PIL import Image

FITS: tuple[Fit, ...] = get_args(Fit)
_STEP = 32  # a whole picture's sides are multiples of it, so that the strides of common networks divide them
_LONGEST = 4  # at most so many times the short side
_LARGEST = 50_000_000  # pixels that a picture is resized to


def prepare(picture: Picture, how: Preprocessing, fit: str = "model") -> tuple[NDArray[np.float32], View]:
    """The network's input (channels, height, width) and the `View` it shows.

    model: as the network was trained, short side resized and the centre cropped. whole: the whole picture at
    its own aspect ratio, the short side as long as the crop's. squash: the whole picture at the crop's size.
    """
    from PIL import Image

    if how.frames > 1:
        message = f"'{picture.path or picture.name}' is a picture, and the network takes clips"
        raise InputError(message, "give a video: camviz heatmap clip.mp4")
    resampling = Image.Resampling[how.interpolation.upper()]
    width, height = picture.width, picture.height
    if how.longest and fit == "model":
        return _letterboxed(picture, how, resampling)
    size, crop = _sizes(width, height, how, fit)
    if size[0] * size[1] > _LARGEST:
        shape = f"{size[0]}×{size[1]}"
        raise InputError(f"a picture of {width}×{height} is too thin: it would be resized to {shape}", "--fit squash")
    image = _image(picture, len(how.mean))
    if size != image.size:
        image = image.resize(size, resampling)
    left, top = _margin(size[0], crop[0]), _margin(size[1], crop[1])
    if crop != size:  # where the crop is larger, it is filled with black, as torchvision does
        image = image.crop((left, top, left + crop[0], top + crop[1]))
    across, down = width / size[0], height / size[1]
    box = (left * across, top * down, (left + crop[0]) * across, (top + crop[1]) * down)
    return _normalised(image, how), View((width, height), box, crop)


def prepare_clip(
    pictures: Sequence[Picture], how: Preprocessing, fit: str = "model"
) -> tuple[NDArray[np.float32], View]:
    """The input (channels, frames·height, width) of a network of clips, and the `View` that each frame shows.

    torchvision trained them without antialiasing when it resizes; here it is as for pictures.
    """
    one = replace(how, frames=1, crop=(how.crop[0] // how.frames, how.crop[1]))
    prepared = [prepare(picture, one, fit) for picture in pictures]
    return np.concatenate([values for values, _ in prepared], axis=1), prepared[0][1]


def _image(picture: Picture, channels: int) -> Image.Image:
    """The picture with as many channels: grey, grey and alpha, colours, colours and alpha (opaque if it has none)."""
    from PIL import Image

    modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
    if channels not in modes:
        raise RequestError(f"the network takes {channels} channels, a picture has one to four", "camviz reads pictures")
    if channels in (2, 4) and picture.bands is not None:
        return Image.fromarray(picture.bands).convert(modes[channels])
    return Image.fromarray(picture.pixels).convert(modes[channels])


def _normalised(image: Image.Image, how: Preprocessing) -> NDArray[np.float32]:
    """(channels, height, width)."""
    pixels = np.asarray(image, np.float32).reshape(image.height, image.width, -1) / np.float32(255)
    if how.order == "bgr":
        pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
    mean, std = np.asarray(how.mean, np.float32), np.asarray(how.std, np.float32)
    return np.ascontiguousarray(((pixels - mean) / std).transpose(2, 0, 1))


def _letterboxed(
    picture: Picture, how: Preprocessing, resampling: Image.Resampling
) -> tuple[NDArray[np.float32], View]:
    """The whole picture, short side `resize` unless the long one would pass `longest`, filled up with `fill`."""
    from PIL import Image

    assert isinstance(how.resize, int)
    assert how.longest
    width, height = picture.width, picture.height
    size = _short_side(width, height, how.resize)
    if max(size) > how.longest:
        scale = how.longest / max(width, height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
    across, down = (-(-side // how.multiple) * how.multiple for side in size)
    image = _image(picture, 3).resize(size, resampling)
    filled = Image.new("RGB", (across, down), tuple(round(255 * level) for level in how.fill))
    filled.paste(image, (0, 0))
    box = (0.0, 0.0, across * width / size[0], down * height / size[1])
    return _normalised(filled, how), View((width, height), box, (across, down))


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
