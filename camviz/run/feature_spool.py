"""Feature maps of a run's images in a temporary file, so that each image goes through the model once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from camviz.feature_maps.maps import FeatureMaps
from camviz.io.paths import is_remote
from camviz.types import Image

_LIMIT = 8 << 30  # bytes; images beyond it go through the model again
_NO_IMAGE = Image(np.zeros((1, 1, 3), np.uint8))
_NO_VALUES = np.zeros((0, 0, 0), np.float32)


class FeatureSpool:
    """Feature maps by the path of their image, in a file without a name that ends with the process.

    The file is in `folder`, or among the temporary files where that is remote.
    """

    def __init__(self, folder: Path) -> None:
        folder = Path(tempfile.gettempdir()) if is_remote(folder) else folder
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (lives as long as the run)
        self._lock = Lock()
        self._end = 0
        self._kept: dict[Path, list[tuple[FeatureMaps, int, tuple[int, ...]]]] = {}

    def put(self, path: Path, layers: Sequence[FeatureMaps]) -> bool:
        """Keep the maps of an image; return False where there is no room."""
        with self._lock:
            if self._end + sum(maps.values.nbytes for maps in layers) > _LIMIT:
                return False
            entries = []
            for maps in layers:
                self._file.seek(self._end)
                self._file.write(np.ascontiguousarray(maps.values, np.float32).tobytes())
                without = replace(maps, values=_NO_VALUES, image=_NO_IMAGE)
                entries.append((without, self._end, maps.values.shape))
                self._end += maps.values.nbytes
            self._kept[path] = entries
            return True

    def get(self, path: Path, image: Image = _NO_IMAGE) -> list[FeatureMaps] | None:
        """Return the maps of an image, None where they were not kept."""
        with self._lock:
            if path not in self._kept:
                return None
            return [self._read(entry, image) for entry in self._kept[path]]

    def values(self, layer: str) -> Iterator[NDArray[np.float32]]:
        """Yield the values of a layer for every image, in the order in which they were kept."""
        for path in list(self._kept):
            yield from (maps.values for maps in self.get(path) or () if maps.layer == layer)

    def _read(self, entry: tuple[FeatureMaps, int, tuple[int, ...]], image: Image) -> FeatureMaps:
        maps, offset, shape = entry
        self._file.seek(offset)
        values = np.frombuffer(self._file.read(4 * int(np.prod(shape))), np.float32).reshape(shape)
        return replace(maps, values=values, image=image)
