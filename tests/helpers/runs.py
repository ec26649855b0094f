"""Runs made by hand, for the commands that read them: a database with maps, files, failures and awkward names."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage

from camviz.errors import InputError
from camviz.io.inputs import Input
from camviz.run.database.database import Database
from camviz.run.database.records import Record, SavedMap, failure, predictions
from camviz.run.database.rows import JobRow
from camviz.run.output.map_files import write_maps
from camviz.types import Image, Look, Request, SaliencyMap, View

AWKWARD = ["a 'b' \"c\".png", "<script>alert(1)<!--.png", "我的 图片/猫 #1?.png", "100%&amp;.png", "x;=1,2.png"]


def saliency(image: Image, seed: int = 0, **changed: Any) -> SaliencyMap:
    """A map of noise (3, 4) over the middle of an image."""
    values = np.random.default_rng(seed).standard_normal((3, 4)).astype(np.float32)
    width, height = image.width, image.height
    view = View((width, height), (2.0, 0.0, width - 2.0, float(height)), (32, 24))
    known = {"method": "gradcam", "layer": "l.0", "target": "cat", "index": 1, "score": 2.5, "probability": 0.75}
    return SaliencyMap(values, **{**known, "model": "net", "view": view, "image": image, **changed})


def make_run(
    folder: Path,
    names: list[str],
    maps: list[dict[str, Any]] | None = None,
    failed: tuple[str, ...] = (),
    look: Look | None = None,
    size: tuple[int, int] = (40, 30),
    images: Path | None = None,
    **job: Any,
) -> JobRow:
    """Write images of noise, their maps drawn by `look`, and a database that knows them; returns its job."""
    look = look or Look()
    where = images or folder.parent / "images"
    with Database(folder_made(folder), write=True) as database:
        settings = asdict(Request(look=look, methods=("gradcam",), **job))
        row = database.begin("heatmap", settings, {"camviz": "0.1", "torch": "2.0"})
        for number, name in enumerate(names):
            path = where / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
                PILImage.fromarray(noise).save(path)
            stat = os.stat(path)
            source = Input(path, name, stamp=(stat.st_size, stat.st_mtime_ns))
            image = Image(np.asarray(PILImage.open(path).convert("RGB")), path)
            made = [saliency(image, 10 * number + i, **one) for i, one in enumerate(maps or [{}])]
            written = tuple(write_maps(made, source, folder, look, job.get("save_raw", False)))
            saved = tuple(SavedMap.of(one) for one in made)
            database.add(row.id, Record(source, 0.1 * number, saved, written, predictions(made)))
        for name in failed:
            error = InputError(f"'{where / name}' is damaged", "copy it again")
            database.add(row.id, failure(Input(where / name, name), error))
    return row


def folder_made(folder: Path) -> Path:
    """The folder, made."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def known(folder: Path) -> dict[str, Any]:
    """All that a database knows, by job and image, but for times and for where it lies."""
    found: dict[str, Any] = {}
    with Database(folder) as database:
        for job in database.jobs():
            found[job.key] = job.command, job.settings, job.versions
            for row in database.inputs(job.id):
                facts = [row.path, row.size, row.mtime_ns, row.state, row.files, row.predictions, row.error, row.hint]
                maps = [(one.shape, one.blob, one.view, one.fields) for one in database.maps(row.id)]
                files = [asdict(one) for one in database.files(row.id)]
                found[f"{job.key} {row.name}"] = facts, maps, files
    return found


def results(folder: Path) -> dict[str, bytes]:
    """All files but databases, hidden ones too."""
    paths = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in paths.items() if ".sqlite" not in name}
