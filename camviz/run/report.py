"""Make an HTML page of a run: facts, thumbnails, and links to the files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from camviz.errors import InputError
from camviz.io.images import read_image
from camviz.io.opening import SUFFIXES
from camviz.io.paths import relative
from camviz.render.color import settled
from camviz.render.html import Card, Page, PageFile, PageImage, shrunk, thumb_side, thumbnail
from camviz.render.painting import paint, scaled
from camviz.run.database.database import Database
from camviz.run.database.jobs import files_of, rebuilt, same_image
from camviz.run.database.records import SavedMap
from camviz.run.database.rows import FileRow, InputRow, JobRow
from camviz.run.shared_scale import settled_for_run
from camviz.types import Image, Look

_SHOWN = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".bmp"}  # by browsers


def make_page(
    database: Database, job: JobRow, place: Path, tick: Callable[[int], None] = lambda _: None, urls: bool = False
) -> Page:
    """All images of a job; `place` is the folder of the page, where its links begin. `tick` counts images.

    `urls`: whether images are read from URLs.
    """
    counts = database.counts(job.id)
    tiles = database.count_maps(job.id) + sum(counts.values())
    look = settled_for_run(database, job, rebuilt(Look, job.settings.get("look", {})))
    maker = _Maker(database, look, place, thumb_side(tiles), urls)
    for done, row in enumerate(database.inputs(job.id), 1):
        maker.add(row)
        tick(done)
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    shown = f"{maker.maps} map{'s' * (maker.maps != 1)}" if maker.maps else "no maps"
    summary = f"{job.command} · {counts['done']} image{'s' * (counts['done'] != 1)}, {shown}{failed}"
    title = database.folder.absolute().name or str(database.folder)
    return Page(title, summary, list(_facts(job)), maker.images, maker.cards)


class _Maker:
    """Collects the images and cards of a page."""

    def __init__(self, database: Database, look: Look, place: Path, side: int, urls: bool) -> None:
        self.database, self.look, self.place, self.side, self.urls = database, look, place, side, urls
        self.images: list[PageImage] = []
        self.cards: list[Card] = []
        self.maps = 0

    def add(self, row: InputRow) -> None:
        """Add an image, with a card for each of its maps, else for each of its figures."""
        number = len(self.images)
        page_image = PageImage(row.name, _link_of(row), row.state, row.seconds, error=row.error, hint=row.hint)
        files, cards = self.database.files(row.id), list[Card]()
        small: Image | None = None
        try:
            if row.state == "done":
                full = same_image(row, self.urls)
                small = Image(shrunk(full.pixels, self.side), row.path)
                page_image = replace(page_image, thumb=thumbnail(small.pixels))
        except InputError as error:
            page_image = replace(page_image, error=error.message)
        try:
            maps = self.database.maps(row.id)
            cards = [self._map(number, saved, maps, small, files) for saved in maps]
        except InputError as error:
            page_image = replace(page_image, error=error.message)
        self.maps += len(cards)
        self.images.append(page_image)
        self.cards += (
            cards
            or [self._figure(number, file) for file in files if Path(file.path).suffix.lower() in _SHOWN]
            or [Card(number)]
        )

    def _map(
        self, number: int, saved: SavedMap, all_maps: Sequence[SavedMap], small: Image | None, files: list[FileRow]
    ) -> Card:
        own = files_of(saved, files)
        values, look = saved.values, settled(self.look, (each.values for each in all_maps))
        low, high = (float(values.min()), float(values.max())) if values.size else (None, None)
        if small:
            height, width = small.pixels.shape[:2]
            thumb = thumbnail(paint(small.pixels, scaled(saved.restored(small), width, height), look))
        else:
            thumb = next((self._thumb(file) for file in own if _showable(file)), "")
        columns = {name: saved.fields.get(name) for name in ("method", "layer", "target", "probability", "score")}
        facts = saved.fields.get("facts", {})
        return Card(
            number,
            thumb,
            small is not None,
            **columns,
            min=low,
            max=high,
            note=facts.get("note"),
            predicted=facts.get("predicted"),
            files=[self._link(file) for file in own],
        )

    def _figure(self, number: int, file: FileRow) -> Card:
        columns: dict[str, Any] = {name: file.facts.get(name) for name in ("method", "layer", "target", "note")}
        return Card(number, self._thumb(file), **columns, files=[self._link(file)])

    def _thumb(self, file: FileRow) -> str:
        try:
            return thumbnail(shrunk(read_image(self.database.folder / file.path).pixels, self.side))
        except InputError:  # removed or replaced since: the link says so
            return ""

    def _link(self, file: FileRow) -> PageFile:
        link = url_of(relative(self.database.folder / file.path, self.place))
        return PageFile(file.path, link, file.kind, _showable(file))


def _showable(file: FileRow) -> bool:
    suffix = Path(file.path).suffix.lower()
    return suffix in _SHOWN and suffix in SUFFIXES


def _link_of(row: InputRow) -> str:
    """Return a link to an image; nothing for a path that is not absolute."""
    try:
        return row.path.as_uri()
    except (InputError, ValueError):
        return ""


def url_of(relative: str) -> str:
    """Return a relative path as a percent-encoded link."""
    return quote(os.fsencode(relative), safe="/")


def _facts(job: JobRow) -> Iterator[tuple[str, str]]:
    """What was asked, and with what, for people: settings that say nothing are left out."""
    yield "job", job.key
    yield "command", f"camviz {job.command}"
    yield "began", job.created[:19].replace("T", " ") + " UTC"
    for name, value in _flat(job.settings):
        if value not in (None, "", [], {}):
            yield name, ", ".join(map(_word, value)) if isinstance(value, list) else _word(value)
    yield "versions", ", ".join(f"{name} {version}" for name, version in job.versions.items())


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name} ")
        else:
            yield f"{above}{name}", value


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "=".join(map(str, value)) if isinstance(value, list) else str(value)
