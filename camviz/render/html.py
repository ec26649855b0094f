"""One page for a whole run: nothing is fetched from anywhere, the thumbnails are inside, the full files are linked."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from camviz.types import Figure, Pixels

THUMB = 160  # pixels, the long side
_LEAST = 64
_CLASSES = 30  # of a confusion matrix, at most
_BUDGET = 45_000_000  # bytes that the thumbnails of a page may take together
_EACH = 4_500  # bytes of one of THUMB pixels, in base64; measured on photographs


@dataclass(frozen=True)
class PageFile:
    """A file of the run: where it is, as it is shown and as it is linked; whether a browser can show it."""

    path: str
    url: str
    kind: str
    image: bool


@dataclass(frozen=True)
class PageImage:
    """One input. `thumb` is WebP in base64, "" where the image cannot be read any more; `url` leads to it."""

    name: str
    url: str
    state: str
    seconds: float
    thumb: str = ""
    error: str | None = None
    hint: str | None = None


@dataclass(frozen=True)
class Card:
    """One tile of the page: a map, a figure or a failure of the image with that number.

    `aligned`: the thumbnail lies on that of the image, so that one can be seen through the other.
    """

    image: int
    thumb: str = ""
    aligned: bool = False
    method: str | None = None
    layer: str | None = None
    target: str | None = None
    probability: float | None = None
    score: float | None = None
    min: float | None = None
    max: float | None = None
    note: str | None = None
    predicted: str | None = None
    files: Sequence[PageFile] = ()


@dataclass(frozen=True)
class Page:
    """All that a page shows: `facts` are (name, value) of the job and its versions."""

    title: str
    summary: str
    facts: Sequence[tuple[str, str]] = ()
    images: Sequence[PageImage] = ()
    cards: Sequence[Card] = field(default=(), repr=False)

    @property
    def failures(self) -> list[PageImage]:
        """The images that failed."""
        return [image for image in self.images if image.state == "failed"]


def draw_page(page: Page, version: str) -> Figure:
    """The page as an HTML file. Whatever comes from outside is escaped, in the markup and in the script's data."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    here = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(here), autoescape=True, trim_blocks=True)
    own = {name: Markup((here / f"report.{name}").read_text("utf-8")) for name in ("css", "js")}
    data = {"images": [asdict(entry) for entry in page.images], "cards": [asdict(entry) for entry in page.cards]}
    template = environment.get_template("report.html.j2")
    text = template.render(page=page, data=data, style=own["css"], script=own["js"], version=version)
    return Figure("report", ".html", data=text.encode("utf-8", errors="replace"))


def thumb_side(count: int) -> int:
    """The long side of thumbnails, smaller where there are so many that the page would become too large."""
    fitting = THUMB * math.sqrt(_BUDGET / (_EACH * max(1, count)))
    return max(_LEAST, min(THUMB, round(fitting)))


def shrunk(pixels: Pixels, side: int) -> Pixels:
    """The image with its long side at most `side`."""
    import cv2

    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def thumbnail(pixels: Pixels) -> str:
    """Pixels as WebP in base64."""
    import cv2

    done, data = cv2.imencode(".webp", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, 62])
    assert done
    return base64.b64encode(bytes(data)).decode("ascii")


def errors_page(images: int, right: int, confusions: Sequence[Mapping[str, Any]], of_class: Mapping[str, int]) -> str:
    """Return the page of `camviz errors`: a confusion matrix, the confusions, the figures, linked.

    `confusions` have the keys true, predicted, count, of, images; `of_class` is the number of images of each class.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    here = Path(__file__).parent
    template = Environment(autoescape=True, trim_blocks=True).from_string((here / "errors.html.j2").read_text("utf-8"))
    accuracy = f"{right / images:.1%}" if images else "–"
    shown = {"images": images, "right": right, "accuracy": accuracy, "confusions": confusions}
    style = Markup((here / "report.css").read_text("utf-8"))
    return template.render(**shown, matrix=_matrix(confusions, of_class), style=style)


def _matrix(confusions: Sequence[Mapping[str, Any]], of_class: Mapping[str, int]) -> dict[str, Any] | None:
    """Return the confusion matrix of the classes that are in a confusion; None where they are too many to show."""
    names = sorted({each[side] for each in confusions for side in ("true", "predicted")})
    if not 0 < len(names) <= _CLASSES:
        return None
    counts = {(each["true"], each["predicted"]): (each["count"], f"c{n}") for n, each in enumerate(confusions, 1)}
    for name in names:
        wrong = sum(each["count"] for each in confusions if each["true"] == name)
        counts[name, name] = of_class.get(name, 0) - wrong, ""
    rows = []
    for true in names:
        cells = []
        for predicted in names:
            count, anchor = counts.get((true, predicted), (0, ""))
            share = round(100 * count / max(1, of_class.get(true, 0)))
            cells.append({"count": count, "anchor": anchor, "share": share, "right": true == predicted})
        rows.append({"true": true, "cells": cells})
    return {"names": names, "rows": rows}
