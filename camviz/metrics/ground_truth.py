"""Where things are in images, as somebody marked it: Pascal VOC XML, COCO JSON, folders of masks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from camviz.errors import InputError, RequestError
from camviz.types import Image

Mask = NDArray[np.bool_]
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels, ends excluded
Match = Literal["label", "any"]


@dataclass(frozen=True, eq=False)
class Thing:
    """One marked object: its class's name ("" when it has none), and its box or mask in an image of `size`."""

    label: str
    size: tuple[int, int] | None  # (width, height) that was marked, where known
    box: Box | None = None
    mask: Callable[[], Mask] | None = None

    def draw(self, image: Image) -> Mask:
        """The pixels of the object in the image (H, W), which may be a smaller or larger copy of the marked one."""
        if self.mask:
            return _fitted(self.mask(), image)
        assert self.box
        across, down = 1.0, 1.0
        if self.size:
            _check_shape(self.size, image)
            across, down = image.width / self.size[0], image.height / self.size[1]
        left, top, right, bottom = self.box
        x, y = np.arange(image.width) + 0.5, np.arange(image.height) + 0.5
        columns = (x >= left * across) & (x < right * across)
        return np.asarray(columns[None] & ((y >= top * down) & (y < bottom * down))[:, None])


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of many images, by file name; `find` also for images that moved, by name or stem."""

    source: str
    things: Mapping[str, Sequence[Thing]] = field(repr=False)
    match: str = "label"

    def find(self, path: Path | None) -> Sequence[Thing] | None:
        """What is marked in an image; None when it is not among those that were looked at."""
        if path is None:
            return None
        parts = path.as_posix().split("/")
        for start in range(len(parts)):  # the longest name first: folders may tell two apart
            name = "/".join(parts[start:])
            for key in (name, name.rpartition(".")[0]):
                if key and key in self.things:
                    return self.things[key]
        return None

    def mask(self, image: Image, target: str) -> Mask | None:
        """The pixels of everything in the image that the target's label means; None when nothing does."""
        found = self.find(image.path) or ()
        chosen = [one for one in found if self.match == "any" or not one.label or same_class(one.label, target)]
        masks = [one.draw(image) for one in chosen]
        mask = np.logical_or.reduce(masks) if masks else None
        return mask if mask is not None and mask.any() else None


def same_class(marked: str, label: str) -> bool:
    """Whether a marked name means a model's label: the same words, or the last ones of a synonym ("cat", "tiger cat").

    A label may list synonyms with commas.
    """
    words = _words(marked)
    return any(_words(synonym)[-len(words) :] == words for synonym in label.split(",")) if words else False


def _words(name: str) -> list[str]:
    return re.split(r"[\s_-]+", name.strip().casefold()) if name.strip() else []


def read_boxes(path: Path, match: str = "label") -> Truth:
    """Boxes from a Pascal VOC XML file or a folder of them, or from a COCO JSON file.

    Raises `RequestError` for anything else.
    """
    if not path.exists():
        raise RequestError(f"no file or folder '{path}'", "--boxes takes VOC XML, a folder of it, or COCO JSON")
    if path.is_dir():
        files = sorted(path.rglob("*.xml"))
        if not files:
            raise RequestError(
                f"no .xml file in folder '{path}'", "--boxes takes VOC XML, a folder of it, or COCO JSON"
            )
        things: dict[str, list[Thing]] = {}
        for file in files:
            things |= dict(_read_voc(file))
        return Truth(str(path), things, match)
    if path.suffix.lower() == ".xml":
        return Truth(str(path), dict(_read_voc(path)), match)
    return Truth(str(path), _read_json(path), match)


def _read_voc(path: Path) -> Iterator[tuple[str, list[Thing]]]:
    """VOC counts pixels from 1, and the last one belongs to the box."""
    try:
        root = ElementTree.parse(path).getroot()
        sides = [root.findtext(f"size/{side}") for side in ("width", "height")]
        size = (int(sides[0]), int(sides[1])) if sides[0] and sides[1] and int(sides[0]) and int(sides[1]) else None
        things = []
        for one in root.iter("object"):
            left, top, right, bottom = (
                float(one.findtext(f"bndbox/{side}") or "") for side in ("xmin", "ymin", "xmax", "ymax")
            )
            things.append(Thing(one.findtext("name") or "", size, (left - 1, top - 1, right, bottom)))
    except (ElementTree.ParseError, ValueError, OSError) as error:
        raise RequestError(
            f"'{path}' is not Pascal VOC XML: {error}", "it needs object/name and object/bndbox/xmin, ymin, xmax, ymax"
        ) from error
    named = (root.findtext("filename") or "").strip()
    yield path.stem, things
    if named and Path(named).stem != path.stem:
        yield named, things


def _read_json(path: Path) -> dict[str, list[Thing]]:
    try:
        content = json.loads(path.read_text("utf-8"))
        if isinstance(content, dict) and {"images", "annotations"} <= set(content):
            return _read_coco(content)
        if isinstance(content, dict) and isinstance(content.get("files"), dict):
            return _read_runs(content["files"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise RequestError(f"'{path}' cannot be read as COCO JSON: {reason}", _COCO) from error
    raise RequestError(f"'{path}' is not COCO JSON", _COCO)


_COCO = 'it needs "images" (id, file_name), "annotations" (image_id, category_id, bbox) and "categories" (id, name)'


def _read_coco(content: dict[str, Any]) -> dict[str, list[Thing]]:
    names = {one["id"]: str(one["name"]) for one in content.get("categories", ())}
    sizes, files, things = {}, {}, {}
    for one in content["images"]:
        files[one["id"]] = str(one["file_name"])
        sizes[one["id"]] = (int(one["width"]), int(one["height"])) if one.get("width") and one.get("height") else None
        things[files[one["id"]]] = list[Thing]()
    for one in content["annotations"]:
        if one.get("bbox") and one["image_id"] in files:
            left, top, width, height = map(float, one["bbox"])
            label = names.get(one["category_id"], str(one["category_id"]))
            box = (left, top, left + width, top + height)
            things[files[one["image_id"]]].append(Thing(label, sizes[one["image_id"]], box))
    return things


def decode_runs(runs: Sequence[int], width: int, height: int) -> Mask:
    """Return the mask (H, W) of run lengths, row by row: outside, inside, outside, …"""
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(height, width)


def _read_runs(files: dict[str, Any]) -> dict[str, list[Thing]]:
    """The format of the bundled samples: masks as run lengths."""

    def unfold(shape: dict[str, Any], width: int, height: int) -> Callable[[], Mask]:
        return lambda: decode_runs(shape["runs"], width, height)

    return {
        name: [
            Thing(shape["kind"], (one["width"], one["height"]), mask=unfold(shape, one["width"], one["height"]))
            for shape in one["shapes"]
        ]
        for name, one in files.items()
    }


def read_masks(folder: Path, value: str = "", match: str = "label") -> Truth:
    """Mask images with the stems of the images; what is not zero is the target, or what has the `value`.

    `value` is an index (or gray level), or a color as #rrggbb. In a mask with a palette 255 is no object, as in VOC.
    """
    from camviz.io.images import SUFFIXES

    wanted = _parse_value(value)
    if not folder.is_dir():
        raise RequestError(f"no folder '{folder}'", "--masks takes a folder with one mask per image")
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES]
    if not files:
        raise RequestError(f"no image in folder '{folder}'", "--masks takes a folder with one mask per image")

    def reader(path: Path) -> Callable[[], Mask]:
        return lambda: _read_mask(path, wanted)

    things = {path: [Thing("", None, mask=reader(path))] for path in files}
    names = {path.stem: one for path, one in things.items()}
    names |= {path.relative_to(folder).with_suffix("").as_posix(): one for path, one in things.items()}
    return Truth(str(folder), names, match)


def _parse_value(text: str) -> int | tuple[int, ...] | None:
    if not text:
        return None
    if text.isdecimal():
        return int(text)
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return tuple(bytes.fromhex(text[1:]))
    raise RequestError(f"--mask-value '{text}' is neither an index nor a color", "--mask-value 15 or '#c08080'")


def _read_mask(path: Path, value: int | tuple[int, ...] | None) -> Mask:
    from PIL import Image as PILImage
    from PIL import UnidentifiedImageError

    try:
        with PILImage.open(path) as image:
            palette = image.mode == "P"
            if isinstance(value, tuple):
                return np.asarray((np.asarray(image.convert("RGB")) == value).all(-1))
            if image.mode in ("RGBA", "LA"):
                values = np.asarray(image.convert(image.mode.removesuffix("A")))
            else:
                values = np.asarray(image)
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise InputError(f"mask '{path}' cannot be read: {error}", "any common image file will do") from error
    if values.ndim == 3:
        values = values.max(-1)
    if value is not None:
        return np.asarray(values == value)
    return np.asarray((values != 0) & ~(palette & (values == 255)))


def _fitted(mask: Mask, image: Image) -> Mask:
    height, width = mask.shape
    if (width, height) == (image.width, image.height):
        return mask
    _check_shape((width, height), image)
    rows = (np.arange(image.height) + 0.5) * height / image.height
    columns = (np.arange(image.width) + 0.5) * width / image.width
    return np.asarray(mask[rows.astype(int)][:, columns.astype(int)])


def _check_shape(size: tuple[int, int], image: Image) -> None:
    """Refuse marks of an image with another shape: turned, cropped, or another one altogether."""
    across, down = image.width / size[0], image.height / size[1]
    if max(across, down) > 1.02 * min(across, down):
        raise InputError(
            f"'{image.path}' is {image.width}×{image.height}, but what marks it is for {size[0]}×{size[1]}",
            "leave it out, or mark the image as it is shown upright",
        )
