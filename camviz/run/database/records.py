"""The record of one image: plain values that are sent between processes and into the run database."""

from __future__ import annotations

import base64
import math
import traceback
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from camviz.errors import CamvizError, InputError, NothingFound, RequestError, system_error
from camviz.io.inputs import Input
from camviz.io.opening import MAX_PIXELS
from camviz.run.database.typed import typed_values
from camviz.run.output.written import Written
from camviz.types import Image, Map, Mark, SaliencyMap, View

UNDECODABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, zlib.error)
_BUG = "this is a bug in camviz; CAMVIZ_TRACEBACK=1 before the command shows where"


def damaged_map(error: Exception) -> InputError:
    """Return the error for an image whose raw maps in the database cannot be read."""
    return InputError(f"a map in the run database is damaged: {error}", "compute the image again: --overwrite")


def _unpacked(blob: bytes, size: int) -> bytes:
    """Return so many decompressed bytes; raise `ValueError` if there are more or fewer."""
    if not 0 <= size <= 4 * MAX_PIXELS:
        raise ValueError(f"{size} bytes")
    data = zlib.decompressobj().decompress(blob, size + 1)
    if len(data) != size:
        raise ValueError(f"not {size} bytes")
    return data


@dataclass(frozen=True, eq=False)
class SavedMap:
    """A raw map without its image: `blob` is zlib over float32, little-endian, row by row; lossless.

    `fields` are those of `SaliencyMap` but `values`, `view` and `image`, ready for JSON.
    """

    shape: tuple[int, int]
    blob: bytes = field(repr=False)
    view: View
    fields: dict[str, Any]

    @classmethod
    def of(cls, map: SaliencyMap) -> SavedMap:
        """Return the map in the form in which it is saved."""
        values = np.ascontiguousarray(map.values, "<f4")
        others = [column.name for column in fields(map) if column.name not in ("values", "view", "image")]
        kept = {name: plain(getattr(map, name)) for name in others if name != "marks"}
        kept["marks"] = [_told(mark) for mark in map.marks]
        return cls((values.shape[0], values.shape[1]), zlib.compress(values.tobytes(), 1), map.view, kept)

    @property
    def values(self) -> Map:
        """The raw map (h, w) float32, bit for bit. Raises `InputError` if it is damaged."""
        height, width = self.shape
        try:
            return np.frombuffer(_unpacked(self.blob, 4 * height * width), "<f4").reshape(self.shape).astype(np.float32)
        except UNDECODABLE as error:
            raise damaged_map(error) from error

    def checked(self) -> dict[str, Any]:
        """Return the fields but marks with the types of `SaliencyMap`. Raises `ValueError` for other types."""
        score = float("nan") if self.fields["score"] is None else self.fields["score"]
        return typed_values(SaliencyMap, {**self.fields, "score": score, "marks": ()})

    def restored(self, image: Image) -> SaliencyMap:
        """Return the map with its image, as the method computed it. Raises `InputError` if it is damaged."""
        try:
            for width, height in (self.view.image, self.view.size):
                if not (width > 0 < height and width * height <= MAX_PIXELS):
                    raise ValueError(f"{width}×{height} pixels")
            kept = self.checked() | {"marks": tuple(_mark(stored) for stored in self.fields.get("marks", ()))}
        except UNDECODABLE as error:
            raise damaged_map(error) from error
        return SaliencyMap(values=self.values, view=self.view, image=image, **kept)


@dataclass(frozen=True, eq=False)
class Record:
    """One image, done or failed. `written` are its files, complete under their final names.

    `predictions` are plain values of the command: label, index, score and probability of each explained target, or
    the rows of an evaluation. `request_error` is the error to raise when no image at all works. `undrawn`: files are
    still to be drawn from the maps, so that the image does not count as complete.
    """

    source: Input
    seconds: float = 0.0
    maps: tuple[SavedMap, ...] = ()
    written: tuple[Written, ...] = ()
    predictions: tuple[dict[str, Any], ...] = ()
    error: CamvizError | None = None
    traceback: str = ""
    note: str = ""
    request_error: RequestError | None = None
    undrawn: bool = False

    @property
    def done(self) -> bool:
        """Whether the image did not fail."""
        return self.error is None


def failure(source: Input, error: BaseException, out_of_memory: bool = False) -> Record:
    """Return the record of an image whose error is `error`.

    `NothingFound` is no failure: the image is done, with a note. A `RequestError`, and a lack of memory, may concern
    the model and not the image; see `Record.request_error`.
    """
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, NothingFound):
        named = error.message if source.path.name in error.message else f"{source.name}: {error.message}"
        return Record(source, note=f"{named} ({error.hint})" if error.hint else named)
    if out_of_memory:
        source = replace(source, stamp=None)  # so that the next run tries again: the image is not damaged
        error = RequestError("not enough memory", "--device cpu, --precision bf16, or a smaller --input-size")
    if isinstance(error, RequestError):
        message = error.message if f"'{source.path}'" in error.message else f"'{source.path}': {error.message}"
        return Record(source, error=InputError(message, error.hint), traceback=trace, request_error=error)
    if not isinstance(error, CamvizError):
        message, hint = system_error(error) or (f"unexpected {_words(error)}", _BUG)
        error = InputError(f"'{source.path}': {message}", hint)
    return Record(source, error=error, traceback=trace)


def model_failure(error: BaseException) -> CamvizError:
    """Return the error for an exception that a model raised; those of camviz stay as they are."""
    if isinstance(error, CamvizError):
        return error
    raised = RequestError(f"the model raised {_words(error)}", "CAMVIZ_TRACEBACK=1 before the command shows where")
    raised.__cause__ = error
    return raised


def _words(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def predictions(maps: Sequence[SaliencyMap]) -> tuple[dict[str, Any], ...]:
    """Return the explained targets of an image, each once."""
    found: dict[Any, dict[str, Any]] = {}
    for saliency_map in maps:
        prediction = {
            "label": saliency_map.target,
            "index": saliency_map.index,
            "score": saliency_map.score,
            "probability": saliency_map.probability,
        }
        found.setdefault((saliency_map.target, saliency_map.index), plain(prediction))
    return tuple(found.values())


def _told(mark: Mark) -> dict[str, Any]:
    """Return a mark as JSON values; a region as packed bits."""
    stored = {"text": mark.text, "box": plain(mark.box), "point": plain(mark.point)}
    if mark.region is not None:
        bits = zlib.compress(np.packbits(mark.region).tobytes())
        stored["region"] = {"shape": list(mark.region.shape), "bits": base64.b64encode(bits).decode()}
    return stored


def _mark(stored: dict[str, Any]) -> Mark:
    region = stored.get("region")
    if region:
        height, width = region["shape"]
        bits = np.frombuffer(_unpacked(base64.b64decode(region["bits"]), -(-height * width // 8)), np.uint8)
        region = np.unpackbits(bits, count=height * width).reshape(height, width).astype(bool)
    box, point = (tuple(stored[name]) if stored.get(name) else None for name in ("box", "point"))
    return Mark(stored["text"], box, point, region)


def plain(value: Any) -> Any:
    """Return the value as JSON values; NaN and infinity become None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
