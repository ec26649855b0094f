"""Write a figure and describe the written file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camviz.io.texts import json_text
from camviz.render import encode
from camviz.render.overlay import LARGEST, SMALLEST
from camviz.run.output.files import Write, result_path, write_file
from camviz.types import Figure, Look

COARSE = 3  # cells on the short side of a map


@dataclass(frozen=True)
class Written:
    """A written file and its facts, as printed by `--json`."""

    path: Path
    facts: dict[str, Any]
    size: int = 0  # bytes
    data: bytes | None = None  # where another process is to write it

    def notes(self) -> list[str]:
        """Return why maps or models of the file show nothing, or little, each with the file's name."""
        notes = []
        for facts in self.facts.get("maps") or self.facts.get("sides") or [self.facts]:
            if facts.get("note") and self.facts.get("kind") != "raw":
                shown = [part for part in (facts.get("side") or facts.get("method"),) if part]
                notes.append(f"{', '.join([self.path.name, *shown])}: {facts['note']}")
        return notes

    def traits(self) -> list[str]:
        """Return the kind, and whether the figure was enlarged or reduced, or shows a map of few cells."""
        kind, size, grid = str(self.facts.get("kind")), self.facts.get("size"), self.facts.get("map")
        if kind not in ("overlay", "heatmap") or not size or not grid:
            return [kind]
        resized = "enlarged" if min(size) < SMALLEST else "reduced" if max(size) > LARGEST else ""
        return [kind, *([resized] if resized else []), *(["coarse"] if min(grid) <= COARSE else [])]

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json_text({"path": str(self.path), **self.facts})


def write_figure(
    figure: Figure,
    folder: Path,
    stem: str,
    parts: Sequence[str],
    facts: dict[str, Any],
    look: Look | None = None,
    write: Write = write_file,
) -> Written:
    """Encode a figure and write it atomically under its final name, see `result_path`."""
    path = result_path(folder, stem, parts, figure.suffix)
    data = encode(figure, look or Look())
    write(path, data)
    return Written(path, {"kind": figure.kind, **facts}, len(data))
