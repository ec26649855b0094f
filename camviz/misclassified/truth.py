"""The true class of an image: by the folder it is in, or from a CSV table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from camviz.errors import InputError, RequestError
from camviz.io.texts import as_index, read_text

_IMAGE_COLUMNS = ("image", "picture", "path", "file", "filename", "name")
_LABEL_COLUMNS = ("label", "class", "target", "truth", "true")


@dataclass(frozen=True)
class TrueLabels:
    """Look up the true class of images, by their folder or in a `table` from path, end of a path or name to label."""

    labels: Sequence[str]
    table: Mapping[str, str] | None = None

    def index(self, path: Path) -> int:
        """Return the true class index of an image; raise `InputError` where it is unknown."""
        if self.table is None:
            text = path.absolute().parent.name
            hint = "name its folder as a class, or --labels-from FILE.csv; --labels FILE names the classes"
        else:
            ends = ["/".join(path.parts[-count:]) for count in range(len(path.parts), 0, -1)]
            keys = [key for key in (path.as_posix(), *ends, path.stem) if key in self.table]
            if not keys:
                raise InputError(f"'{path}' is not in the table of labels", "add a line: image,label")
            text, hint = self.table[keys[0]], "use a name from --labels, or a class index"
        index = class_named(text, self.labels)
        if index is None:
            raise InputError(f"'{path}': the model has no class '{text}'", hint)
        return index


def class_named(text: str, labels: Sequence[str]) -> int | None:
    """Return the index of the class with that name, whatever its case and punctuation, or with that index."""
    plain = _plain(text)
    matches = [index for index, label in enumerate(labels) if _plain(label) == plain]
    matches = matches or [i for i, label in enumerate(labels) if plain in (_plain(part) for part in label.split(","))]
    if len(matches) == 1:
        return matches[0]
    index = as_index(text)
    return index if index is not None and (not labels or index < len(labels)) else None


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()


def read_table(path: Path) -> dict[str, str]:
    """Read labels by image from CSV: columns image (path, file, …) and label (class, …), else the first two."""
    text = read_text(path, "table of labels", "--labels-from folders, or a CSV file: image,label")
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if any(line)]
    except csv.Error as error:
        raise RequestError(f"'{path}' is not CSV: {error}", "each line has two columns: image,label") from error
    if not lines or any(len(line) < 2 for line in lines):
        raise RequestError(f"'{path}' is not a table of labels", "each line has two columns: image,label")
    head = [word.strip().casefold() for word in lines[0]]
    images = [column for column, word in enumerate(head) if word in _IMAGE_COLUMNS]
    labels = [column for column, word in enumerate(head) if word in _LABEL_COLUMNS]
    image, label = (images[0], labels[0]) if images and labels else (0, 1)
    body = lines[1:] if images and labels else lines
    return {line[image].strip(): line[label].strip() for line in body}
