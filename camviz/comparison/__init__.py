"""Compare maps of one image by several models, methods, layers or checkpoints, and their differences."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from camviz.comparison.numbers import correlation, overlap, placed
from camviz.errors import RequestError
from camviz.io.tables import csv_text
from camviz.render.bar import percent
from camviz.render.color import oriented, strength
from camviz.render.names import method_name, model_name
from camviz.types import Image, Look, Map, SaliencyMap, Style

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from camviz.render.sheet import Sheet
    from camviz.render.side_by_side import Group

FEWEST, MOST = 2, 6
_LOOK = Look(scale="row")


@dataclass(frozen=True, eq=False)
class Side:
    """One compared map with its display name and the top-1 prediction of its model."""

    name: str
    map: SaliencyMap = field(repr=False)
    prediction: str = ""
    probability: float | None = None

    @property
    def title(self) -> str:
        """The name in figures: display names of methods and models."""
        words = self.name.split(" ")
        return " ".join(method_name(word) if word == self.map.method else model_name(word) for word in words)

    @classmethod
    def of(cls, map: SaliencyMap) -> Side:
        """Return the side described by the facts of a map."""
        facts = map.facts
        return cls(facts.get("side", map.model), map, facts.get("predicted", ""), facts.get("confidence"))


@dataclass(frozen=True, eq=False)
class Comparison:
    """The compared maps of one image for one target; the first is the reference for the differences.

    `look.scale` sets the unit of differences: raw values, or with "image" fractions of each map's maximum. A notebook
    shows the figure that the command line would write.
    """

    sides: tuple[Side, ...]
    look: Look = _LOOK

    @classmethod
    def of(cls, maps: Sequence[SaliencyMap], look: Look | None = None) -> Comparison:
        """Return the comparison of maps of one image; each names its side in its facts."""
        return cls(tuple(Side.of(map) for map in maps), look or _LOOK)

    @property
    def image(self) -> Image:
        """The compared image."""
        return self.sides[0].map.image

    @property
    def target(self) -> str:
        """The target of the first side."""
        return self.sides[0].map.target

    def side(self, name: str | int) -> Side:
        """Return the side with that name or number; raise `RequestError` if there is none."""
        if isinstance(name, int):
            return self.sides[name]
        matches = [side for side in self.sides if side.name == name]
        if not matches:
            raise RequestError(f"no side '{name}'", f"one of: {', '.join(side.name for side in self.sides)}")
        return matches[0]

    @cached_property
    def placed(self) -> tuple[Map, ...]:
        """Each raw map resampled to the image, at the size at which they are compared."""
        return tuple(placed(side.map) for side in self.sides)

    def correlation(self, other: int = 1, first: int = 0) -> float:
        """Return Pearson's correlation of the raw maps over the pixels that both models see."""
        return correlation(self.placed[first], self.placed[other])

    def overlap(self, other: int = 1, first: int = 0) -> float:
        """Return the intersection over union of the top 20 % of the pixels that both models see."""
        return overlap(self.placed[first], self.placed[other])

    def difference(self, other: int = 1, first: int = 0) -> Map:
        """Return `other` minus `first` on the image, in the unit of the look; NaN outside either crop.

        With the sign "positive" negative values count as zero, as in the drawn maps.
        """
        before, after = (self._drawn(i) for i in (first, other))
        return np.asarray(after - before, np.float32)

    def _drawn(self, number: int) -> Map:
        sign, values = self.look.sign, oriented(self.placed[number], self.look.sign)
        values = values if sign == "both" else np.maximum(values, 0)  # NaN stays
        unit = strength(self.sides[number].map.values, sign) if self.look.scale == "image" else 1.0
        return values / np.float32(unit or 1.0)

    @property
    def distance(self) -> float:
        """The largest difference from the first side: 1 minus the smallest correlation, in [0, 2]."""
        correlations = [self.correlation(other) for other in range(1, len(self.sides))]
        return 1 - min((value if np.isfinite(value) else 0.0) for value in correlations)

    @property
    def note(self) -> str:
        """A caveat about comparing the values of these maps, "" if there is none."""
        targets = {side.map.target for side in self.sides}
        if len(targets) > 1:
            return "each model explains a different class"
        shapes = dict.fromkeys(side.map.values.shape for side in self.sides)
        if len(shapes) > 1 and self.look.scale != "image":
            grids = " and ".join(f"{height}×{width}" for height, width in shapes)
            return f"Grid sizes differ ({grids}), so raw values are not comparable; use --scale image."
        return ""

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per side: prediction, extremes and the difference from the first side."""
        rows = []
        for number, side in enumerate(self.sides):
            values, difference = side.map.values, self._against(number)
            finite = values[np.isfinite(values)]
            rows.append(
                {
                    "image": self.image.name,
                    "target": side.map.target,
                    "side": side.name,
                    "model": side.map.model,
                    "method": side.map.method,
                    "layer": side.map.layer,
                    "prediction": side.prediction,
                    "probability": side.probability,
                    "score": side.map.score,
                    "min": float(finite.min()) if finite.size else None,
                    "max": float(finite.max()) if finite.size else None,
                    **difference,
                    "note": side.map.facts.get("note", ""),
                }
            )
        return rows

    def _against(self, number: int) -> dict[str, float | None]:
        if number == 0:
            return {"correlation": None, "iou": None, "difference": None}
        gap = np.abs(self.difference(number))
        gap = gap[np.isfinite(gap)]
        mean = float(gap.mean()) if gap.size else float("nan")
        values = {"correlation": self.correlation(number), "iou": self.overlap(number), "difference": mean}
        return {name: value if np.isfinite(value) else None for name, value in values.items()}

    # drawing

    def group(self) -> Group:
        """Return the maps and their differences from the first, ready to be drawn."""
        from camviz.render.side_by_side import Cell, Difference, Group

        cells = []
        for side in self.sides:
            weak = "weak" if side.map.facts.get("weak") else ""
            cells.append(Cell(side.title, side.map, (f"{side.prediction} {sure(side)}".strip(), weak)))
        differences = []
        for number, side in enumerate(self.sides[1:], 1):
            notes = (f"r = {fixed(self.correlation(number))}", f"IoU = {fixed(self.overlap(number))}")
            name = f"{side.title} − {self.sides[0].title}"
            differences.append(Difference(name, self.difference(number), notes))
        return Group(self.image, (self.image.name, f"target: {self.target}"), tuple(cells), tuple(differences))

    def caption(self, strip: bool = False) -> tuple[str, ...]:
        """Return what the figure shows and how it is scaled; a `strip` has no differences."""
        maps = [side.map for side in self.sides]
        sources = {f"{method_name(each.method)} · {each.layer}" for each in maps}
        source = sources.pop() if len(sources) == 1 else ""
        scale = "each map normalized to its maximum" if self.look.scale == "image" else ""
        numbers = "r: correlation, IoU: of the top 20 % of the pixels"
        numbers = f"r: correlation with {self.sides[-1].name}" if strip else numbers
        different = "each model explains a different class" if len({each.target for each in maps}) > 1 else ""
        return tuple(filter(None, (source, scale, numbers, different)))

    def sheet(self, style: Style | None = None) -> Sheet:
        """Return the figure as a table of tiles."""
        from camviz.render.side_by_side import side_by_side

        return side_by_side([self.group()], self.look, style or Style(), self.caption())

    def figure(self, width: float = 180, dpi: int = 300, font: str = "") -> PILImage:
        """Return the figure as a PIL image of that width in mm."""
        from PIL import Image as PILImage

        from camviz.render.paper import to_pixels
        from camviz.render.sheet import arrange

        style = Style(width, dpi, font)
        return PILImage.fromarray(to_pixels(arrange(self.sheet(style), style), style)[0])

    def __str__(self) -> str:
        lines = [f"{self.image.name}: {self.target}"]
        for row in self.rows():
            sure = "" if row["probability"] is None else f" {row['probability']:.1%}"
            alike = "" if row["correlation"] is None else f", r {row['correlation']:.2f}"
            alike += "" if row["iou"] is None else f", IoU {row['iou']:.2f}"
            lines.append(f"  {row['side']}: {row['prediction']}{sure}; max {row['max']:.3g}{alike}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        data = base64.b64encode(self._repr_png_()).decode()
        columns = ("side", "prediction", "probability", "max", "min", "correlation", "iou", "note")
        head = "".join(f"<th>{name}</th>" for name in columns)
        body = "".join(f"<tr>{''.join(_cell(row[name]) for name in columns)}</tr>" for row in self.rows())
        return f'<img src="data:image/png;base64,{data}" alt=""><table><tr>{head}</tr>{body}</table>'

    def _repr_png_(self) -> bytes:
        from camviz.render import encode
        from camviz.types import Figure

        return encode(Figure("comparison", ".png", np.asarray(self.figure(dpi=150))), Look())


class Comparisons(list[Comparison]):
    """A list of comparisons (of several images or targets) that a notebook shows as figures."""

    def to_csv(self) -> str:
        """Return CSV with one line per side of each image."""
        rows = [row for comparison in self for row in comparison.rows()]
        return csv_text(rows[0] if rows else (), (row.values() for row in rows))

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def _repr_html_(self) -> str:
        return "".join(comparison._repr_html_() for comparison in self)


def check_count(sides: int, strip: bool = False) -> None:
    """Raise `RequestError` unless that many sides fit into a figure or a strip."""
    if not FEWEST <= sides <= (sides if strip else MOST):
        raise RequestError(
            f"compare needs {FEWEST} to {MOST} maps per image, got {sides}",
            "--model A --model B, --method a,b, --layer a,b, or --checkpoint 'epoch_*.pth' --layout strip",
        )


def _cell(value: Any) -> str:
    """Return the HTML of a table cell."""
    text = "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
    return f"<td>{html.escape(text)}</td>"


def sure(side: Side) -> str:
    """Return the probability of a side's prediction in percent, "" if the model has none."""
    return "" if side.probability is None else percent(side.probability)


def fixed(value: float) -> str:
    """Format a number in [-1, 1] with two digits; a dash for NaN."""
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−") if np.isfinite(value) else "–"
