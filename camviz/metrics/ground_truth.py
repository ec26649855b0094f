"""Read ground truth: Pascal VOC XML, COCO JSON, folders of masks."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from camviz.errors import InputError, RequestError
from camviz.io.opening import MAX_PIXELS, SUFFIXES, open_image
from camviz.io.texts import as_index, read_contents, reason_of
from camviz.types import Image

# how readers of JSON and XML, and what looks up values in theirs, fail on content of another form
_MALFORMED = (
    ElementTree.ParseError,
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)
Mask = NDArray[np.bool_]
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels, ends excluded
Match = Literal["label", "any"]


@dataclass(frozen=True, eq=False)
class Thing:
    """One annotated object: its class name ("" without one), and its box or mask in an image of `size`."""

    label: str
    size: tuple[int, int] | None  # (width, height) of the annotated image, where known
    box: Box | None = None
    mask: Callable[[], Mask] | None = None

    def draw(self, image: Image) -> Mask:
        """Return the object's pixels in the image (H, W), scaled if the annotated image has another size."""
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
    """The annotated objects of many images, by file name."""

    source: str
    things: Mapping[str, Sequence[Thing]] = field(repr=False)
    match: str = "label"

    def find(self, path: Path | None) -> Sequence[Thing] | None:
        """Return the objects of an image, by path, name or stem; None if the image is not annotated."""
        if path is None:
            return None
        parts = path.as_posix().split("/")
        for start in range(len(parts)):  # the longest path first: files in two folders may share a name
            name = "/".join(parts[start:])
            for key in (name, name.rpartition(".")[0]):
                if key and key in self.things:
                    return self.things[key]
        return None

    def mask(self, image: Image, target: str) -> Mask | None:
        """Return the pixels of all objects of the target's class in the image; None when there are none."""
        things = self.find(image.path) or ()
        chosen = [
            thing for thing in things if self.match == "any" or not thing.label or same_class(thing.label, target)
        ]
        masks = [thing.draw(image) for thing in chosen]
        mask = np.logical_or.reduce(masks) if masks else None
        return mask if mask is not None and mask.any() else None


def same_class(marked: str, label: str) -> bool:
    """Return whether an annotated name matches a model's label: the same words, or its last ones ("cat", "tiger cat").

    A label may list synonyms separated by commas.
    """
    words = _words(marked)
    return any(_words(synonym)[-len(words) :] == words for synonym in label.split(",")) if words else False


def _words(name: str) -> list[str]:
    return re.split(r"[\s_-]+", name.strip().casefold()) if name.strip() else []


def read_boxes(path: Path, match: str = "label") -> Truth:
    """Read boxes from a Pascal VOC XML file or a folder of them, or from a COCO JSON file.

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
    """Read one VOC file; it counts pixels from 1 and includes the last one."""
    try:
        root = ElementTree.fromstring(read_contents(path, "annotations", _VOC))
        sides = [root.findtext(f"size/{side}") for side in ("width", "height")]
        size = (int(sides[0]), int(sides[1])) if sides[0] and sides[1] and int(sides[0]) and int(sides[1]) else None
        things = []
        for node in root.iter("object"):
            left, top, right, bottom = (
                _finite(node.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")
            )
            things.append(Thing(node.findtext("name") or "", size, (left - 1, top - 1, right, bottom)))
    except _MALFORMED as error:
        raise RequestError(f"'{path}' is not Pascal VOC XML: {reason_of(error)}", _VOC) from error
    named = (root.findtext("filename") or "").strip()
    yield path.stem, things
    if named and Path(named).stem != path.stem:
        yield named, things


def _read_json(path: Path) -> dict[str, list[Thing]]:
    try:
        content = json.loads(_contents(path).decode("utf-8-sig"))
        if isinstance(content, dict) and {"images", "annotations"} <= set(content):
            return _read_coco(content)
        if isinstance(content, dict) and isinstance(content.get("files"), dict):
            return _read_runs(content["files"])
    except _MALFORMED as error:
        reason = f"no {error}" if isinstance(error, KeyError) else reason_of(error)
        raise RequestError(f"'{path}' cannot be read as COCO JSON: {reason}", _COCO) from error
    raise RequestError(f"'{path}' is not COCO JSON", _COCO)


def _contents(path: Path) -> bytes:
    """The contents of a file of many images' annotations, of any length if it is a regular file."""
    regular = path.is_file()
    return path.read_bytes() if regular else read_contents(path, "annotations", _COCO)


def _finite(value: Any) -> float:
    number = float("" if value is None else value)
    if not math.isfinite(number):
        raise ValueError(f"a box at {number}")
    return number


_VOC = "it needs object/name and object/bndbox/xmin, ymin, xmax, ymax"
_COCO = 'it needs "images" (id, file_name), "annotations" (image_id, category_id, bbox) and "categories" (id, name)'


def _read_coco(content: dict[str, Any]) -> dict[str, list[Thing]]:
    names = {category["id"]: str(category["name"]) for category in content.get("categories", ())}
    sizes, files, things = {}, {}, {}
    for image in content["images"]:
        files[image["id"]] = str(image["file_name"])
        known = image.get("width") and image.get("height")
        sizes[image["id"]] = (int(image["width"]), int(image["height"])) if known else None
        things[files[image["id"]]] = list[Thing]()
    for item in content["annotations"]:
        if item.get("bbox") and item["image_id"] in files:
            left, top, width, height = map(_finite, item["bbox"])
            label = names.get(item["category_id"], str(item["category_id"]))
            box = (left, top, left + width, top + height)
            things[files[item["image_id"]]].append(Thing(label, sizes[item["image_id"]], box))
    return things


def decode_runs(runs: Sequence[int], width: int, height: int) -> Mask:
    """Return the mask (H, W) of run lengths, row by row: outside, inside, outside, …"""
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(height, width)


def _read_runs(files: dict[str, Any]) -> dict[str, list[Thing]]:
    """Read the format of the bundled samples: masks as run lengths."""

    def unfold(shape: dict[str, Any], width: int, height: int) -> Callable[[], Mask]:
        runs = [int(run) for run in shape["runs"]]
        if min(runs, default=0) < 0 or not 0 < sum(runs) == width * height <= MAX_PIXELS:
            raise ValueError(f"runs of {sum(runs)} pixels in an image of {width}×{height}")
        return lambda: decode_runs(runs, width, height)

    return {
        name: [
            Thing(shape["kind"], (file["width"], file["height"]), mask=unfold(shape, file["width"], file["height"]))
            for shape in file["shapes"]
        ]
        for name, file in files.items()
    }


def read_masks(folder: Path, value: str = "", match: str = "label") -> Truth:
    """Read mask images named like the images; pixels that are not zero, or that have the `value`, are the target.

    `value` is an index (or gray level), or a color as #rrggbb. In masks with a palette 255 is ignored, as in VOC.
    """
    wanted = _parse_value(value)
    if not folder.is_dir():
        raise RequestError(f"no folder '{folder}'", "--masks takes a folder with one mask per image")
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES]
    if not files:
        raise RequestError(f"no image in folder '{folder}'", "--masks takes a folder with one mask per image")

    def reader(path: Path) -> Callable[[], Mask]:
        return lambda: _read_mask(path, wanted)

    things = {path: [Thing("", None, mask=reader(path))] for path in files}
    names = {path.stem: masks for path, masks in things.items()}
    names |= {path.relative_to(folder).with_suffix("").as_posix(): masks for path, masks in things.items()}
    return Truth(str(folder), names, match)


def _parse_value(text: str) -> int | tuple[int, ...] | None:
    if not text:
        return None
    if (index := as_index(text)) is not None:
        return index
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return tuple(bytes.fromhex(text[1:]))
    raise RequestError(f"--mask-value '{text}' is neither an index nor a color", "--mask-value 15 or '#c08080'")


def _read_mask(path: Path, value: int | tuple[int, ...] | None) -> Mask:
    with open_image(path) as image:
        palette = image.mode == "P"
        if isinstance(value, tuple):
            return np.asarray((np.asarray(image.convert("RGB")) == value).all(-1))
        if image.mode in ("RGBA", "LA"):
            values = np.asarray(image.convert(image.mode.removesuffix("A")))
        else:
            values = np.asarray(image)
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
    """Raise `InputError` if the annotated image has another aspect ratio: rotated, cropped, or another image."""
    across, down = image.width / size[0], image.height / size[1]
    if max(across, down) > 1.02 * min(across, down):
        raise InputError(
            f"'{image.path}' is {image.width}×{image.height}, but its annotation is for {size[0]}×{size[1]}",
            "leave it out, or annotate the image with its orientation applied",
        )
