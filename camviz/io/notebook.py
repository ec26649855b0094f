"""Images as notebooks and training code have them: paths, arrays, tensors, batches, datasets and loaders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from camviz.errors import InputError
from camviz.io.depth import Window, to_bytes
from camviz.io.images import decoded, read_image
from camviz.types import Image

_KEYS = ("image", "img", "pixel_values", "images", "x")  # of an item of a dataset that is a mapping


def as_images(images: Any, window: Window | None = None) -> list[Image]:
    """Return what Python callers pass, one image or several, as `Image`s; see `iterate_images`."""
    return list(iterate_images(images, window))


def iterate_images(images: Any, window: Window | None = None) -> Iterator[Image]:
    """Yield `Image`s of a path, a PIL image, an array, a tensor, or several of them, as they are asked for.

    Arrays are (H, W), (H, W, c) or (n, H, W, c), tensors (c, h, w) or (n, c, h, w): bytes, or floats of 0 to 1. Items
    of a Dataset or DataLoader may be (image, label) pairs or dictionaries. Raises `InputError`.
    """
    for item in items_of(images):
        yield from _images_of(item, window)


def items_of(images: Any) -> Iterator[Any]:
    """Yield the items of a list, Dataset, DataLoader or iterator, of pairs and mappings their image; or the value."""
    if isinstance(images, (list, tuple)):
        yield from images
    elif hasattr(images, "batch_sampler") or (hasattr(images, "__getitem__") and _is_dataset(images)):
        items = images if hasattr(images, "__iter__") else (images[i] for i in range(len(images)))
        yield from map(_image_part, items)
    elif isinstance(images, Iterator):
        yield from map(_image_part, images)
    else:
        yield images


def _is_dataset(value: Any) -> bool:
    known = isinstance(value, (str, np.ndarray, Mapping)) or hasattr(value, "convert") or hasattr(value, "detach")
    return not known and hasattr(value, "__len__")


def _image_part(item: Any) -> Any:
    """Return the image of an item of a dataset."""
    if isinstance(item, Mapping):
        key = next((key for key in _KEYS if key in item), None)
        if key is None:
            raise InputError(f"an item with {', '.join(map(str, item))} has no image", f"name it {_KEYS[0]!r}")
        return item[key]
    return item[0] if isinstance(item, (list, tuple)) and item else item


def _images_of(value: Any, window: Window | None) -> Iterator[Image]:
    """Yield the images of one value, several for a batch."""
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        tensor = value.detach().cpu()
        array = tensor.float().numpy() if str(tensor.dtype) == "torch.bfloat16" else tensor.numpy()
        for pixels in array if array.ndim == 4 else [array]:
            yield _of_array(np.moveaxis(pixels, 0, -1) if pixels.ndim == 3 else pixels, window, "tensor (c, h, w)")
    elif isinstance(value, np.ndarray):
        for pixels in value if value.ndim == 4 else [value]:
            yield _of_array(pixels, window, "array (H, W, c)")
    elif isinstance(value, Image):
        yield value
    elif isinstance(value, (str, Path)):
        yield read_image(Path(value), window)
    elif hasattr(value, "convert") and hasattr(value, "mode"):
        yield decoded(value, window=window)
    else:
        raise InputError(
            f"a {type(value).__name__} is not an image", "give a path, a PIL image, an array (H, W, 3) or a tensor"
        )


def _of_array(pixels: NDArray[Any], window: Window | None, kind: str) -> Image:
    """Return an array (H, W) or (H, W, c) of one to four channels as an `Image`."""
    from PIL import Image as PILImage

    shape = "×".join(map(str, pixels.shape))
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim not in (2, 3) or channels > 4 or pixels.dtype.kind not in "buif":
        raise InputError(
            f"an array of {pixels.dtype} {shape} is not an image", f"give an {kind} of one to four channels"
        )
    note = ""
    if pixels.dtype != np.uint8:
        if pixels.dtype.kind == "f" and window is None and np.nanmin(pixels, initial=0) < 0:
            low, high = float(np.nanmin(pixels)), float(np.nanmax(pixels))
            raise InputError(
                f"values of {low:.3g} to {high:.3g} are not pixels of 0 to 1",
                "normalized=True for tensors that are normalized already, or window=(low, high)",
            )
        unit = pixels.dtype.kind == "f" and float(np.nanmax(pixels, initial=0)) <= 1
        pixels, note = to_bytes(pixels, window)
        note = "" if unit else note
    if channels == 1:
        pixels = np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    elif channels in (2, 4):
        return decoded(PILImage.fromarray(np.ascontiguousarray(pixels), "LA" if channels == 2 else "RGBA"))
    return Image(np.ascontiguousarray(pixels), note=note)
