"""Draw every type of figure for every kind of image and name, and a contact sheet of all of them.

    python -m tools.gallery OUTPUT [--dpi 100] [--gray]

writes OUTPUT/CONDITION_TYPE.png and OUTPUT/contact_CONDITION.png; look at the contact sheets at full size.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from camviz.render import draw, encode
from camviz.types import Figure, Image, Look, Pixels, SaliencyMap, Style, View

LONG = "features.denseblock4.denselayer16.conv2_of_a_model_with_a_very_long_name"
CHINESE = "虎斑猫_照片"


@dataclass(frozen=True)
class Condition:
    """What the figures are drawn of: an image size, a name, a number of tiles, gray pixels."""

    size: tuple[int, int] = (320, 240)
    name: str = "tiger cat"
    tiles: int = 4
    gray: bool = False


CONDITIONS = {
    "normal": Condition(),
    "tiny": Condition((32, 32)),
    "huge": Condition((6000, 4000)),
    "wide": Condition((800, 100)),
    "tall": Condition((100, 800)),
    "long-names": Condition(name=LONG),
    "chinese-names": Condition(name=CHINESE),
    "gray": Condition(gray=True),
    "12-tiles": Condition(tiles=12),
    "1-tile": Condition(tiles=1),
}


def photograph(condition: Condition) -> Image:
    """Return a scene of soft shapes, the same every time."""
    width, height = condition.size
    x, y = np.linspace(0, 1, width), np.linspace(0, 1, height)[:, None]
    blobs = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / 0.03) for a, b in ((0.3, 0.35), (0.65, 0.6), (0.8, 0.2))]
    waves = 0.5 + 0.25 * np.sin(25 * x) * np.cos(15 * y)
    planes = [np.clip(0.6 * waves + 0.5 * blob, 0, 1) for blob in blobs]
    pixels = np.rint(255 * np.stack(planes, 2)).astype(np.uint8)
    if condition.gray:
        pixels = np.repeat(pixels.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    return Image(np.ascontiguousarray(pixels), Path(f"{condition.name}.jpg"))


def saliency(image: Image, condition: Condition, number: int = 0, **facts: Any) -> SaliencyMap:
    """Return a map with a peak, of a center crop."""
    width, height = image.width, image.height
    rows, columns = np.mgrid[:7, :7]
    values = np.exp(-((rows - 2 - number % 3) ** 2 + (columns - 2) ** 2) / 4) * (3.4 - 0.2 * number)
    side = min(width, height) * 0.9
    box = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
    known: dict[str, Any] = {
        "method": "gradcam", "layer": "layer4", "target": condition.name, "index": number, "score": 12.5,
        "probability": 0.358, "model": "resnet50", "view": View((width, height), box, (224, 224)), "image": image,
    }  # fmt: skip
    return SaliencyMap(values.astype(np.float32), **{**known, **facts})


def map_figures(condition: Condition, style: Style) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of maps."""
    from camviz.render.paper import compose
    from camviz.render.side_by_side import Cell, Difference, Group, side_by_side
    from camviz.render.strip import Shot, strip

    image, count = photograph(condition), condition.tiles
    one = saliency(image, condition)
    for name, look in (
        ("overlay", Look()),
        ("overlay-contour", Look(contour=(0.5, 0.8), threshold=0.2)),
        ("heatmap", Look(layout="heatmap")),
        ("overlay-caption", Look(colorbar=True, caption=True)),
        ("panel", Look(layout="panel")),
        ("panel-signed", Look(layout="panel", sign="both")),
    ):
        yield name, draw(image, one, replace(look, style=style))
    targets = [saliency(image, condition, i, target=f"{condition.name} {i}") for i in range(count)]
    yield "grid-targets", draw(image, targets, Look(layout="grid", style=style))
    names = ["gradcam", "layercam", "integrated-gradients", "eigencam"]
    methods = [
        saliency(image, condition, i, method=names[i] if i < 4 else f"method {i}", index=0) for i in range(count)
    ]
    pixel = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32) ** 3
    methods = [
        replace(each, values=pixel, layer="input", facts={"per_pixel": True}) if "integrated" in each.method else each
        for each in methods
    ]
    yield "grid-methods", draw(image, methods, Look(layout="grid", style=style))
    yield "strip", strip([Shot(i * 0.5, each) for i, each in enumerate(targets)], Look(style=style))
    for sides in sorted({min(2, count), min(6, count)}):
        cells = tuple(Cell(f"{condition.name} {i}", targets[i], ("tiger cat 35.8 %",)) for i in range(sides))
        values = np.zeros((48, 64), np.float32)
        values[10:20, 10:30] = 0.4
        gaps = tuple(Difference(f"{c.name} − {cells[0].name}", values, ("r = 0.88", "IoU = 0.79")) for c in cells[1:])
        sheet = side_by_side([Group(image, (image.name,), cells, gaps)], Look(scale="row"), style, ("Grad-CAM",))
        yield f"compare-{sides}", compose("comparison", sheet, "png", style)


def feature_figures(condition: Condition, style: Style) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of feature maps, kernels and images."""
    from camviz.feature_maps import figures
    from camviz.feature_maps.filters import Kernels, Positions
    from camviz.feature_maps.kernel_figures import KernelStyle, draw_kernels, draw_positions
    from camviz.feature_maps.maps import FeatureMaps
    from camviz.feature_maps.visualization.patch_figures import patch_figure, patch_tile

    image, count, rng = photograph(condition), condition.tiles, np.random.default_rng(0)
    view = saliency(image, condition).view
    values = rng.gamma(1.0, size=(count, 7, 7)).astype(np.float32)
    maps = FeatureMaps(values, condition.name, "resnet50", image, view)
    signed = replace(maps, values=values - 1)
    for name, each in (("features", maps), ("features-signed", signed)):
        yield name, figures.channels(each, style=style)
    yield "features-l2", figures.reduction(maps, "l2", style=style)
    yield "features-pca", figures.reduction(signed, "pca", style=style)
    yield "features-cluster", figures.clusters(maps, style=style)
    yield "features-strip", figures.strip([maps] * count, style=style)
    for name, shape in (("rgb", (count, 3, 5, 5)), ("tiles", (count, 1, 5, 5)), ("slices", (count, 8, 3, 3))):
        kernels = Kernels(rng.normal(size=shape).astype(np.float32), condition.name, "resnet50")
        yield f"filters-{name}", draw_kernels(kernels, KernelStyle(style=style))
    weights = Kernels(rng.normal(size=(count, 16, 1, 1)).astype(np.float32), condition.name, "resnet50")
    yield "filters-weights", draw_kernels(weights, KernelStyle(style=style))
    cosines = rng.uniform(-1, 1, (7, 7, 7, 7)).astype(np.float32)
    yield "filters-positions", draw_positions(Positions(cosines, condition.name, "vit_b_16"), style=style)
    patch = patch_tile(image.pixels[:64, :64], 64)
    rows = [(f"channel {i}", [(patch, "3.14")] * count) for i in range(3)]
    yield "patches", patch_figure(rows, count, (condition.name, "top-activating patches"), "png", style, {})


def all_figures(condition: Condition, style: Style) -> Iterator[tuple[str, Figure]]:
    """Yield (type, figure) of every type."""
    yield from map_figures(condition, style)
    yield from feature_figures(condition, style)


def contact_sheet(figures: Sequence[tuple[str, Figure]], across: int = 4, width: int = 700) -> Pixels:
    """Return all figures at one width in columns, each under its type."""
    import cv2

    columns: list[list[Pixels]] = [[] for _ in range(across)]
    for name, figure in figures:
        assert figure.pixels is not None
        high, wide = figure.pixels.shape[:2]
        share = min(1.0, width / wide, 900 / high)
        pixels = cv2.resize(figure.pixels, (max(1, round(wide * share)), max(1, round(high * share))), interpolation=3)
        block = np.full((pixels.shape[0] + 34, width + 12, 3), 205, np.uint8)
        block[28 : 28 + pixels.shape[0], 6 : 6 + pixels.shape[1]] = pixels
        cv2.putText(block, name, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
        min(columns, key=lambda column: sum(map(len, column))).append(block)
    joined = [np.concatenate(column) for column in columns if column]
    height = max(map(len, joined))
    padded = [np.pad(each, ((0, height - len(each)), (0, 0), (0, 0)), constant_values=205) for each in joined]
    return np.concatenate(padded, axis=1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the figures and the contact sheets."""
    import cv2

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--dpi", type=int, default=100)
    parser.add_argument("--condition", choices=CONDITIONS, action="append")
    parser.add_argument("--gray", action="store_true", help="as in black-and-white print")
    typed = parser.parse_args(arguments)
    typed.output.mkdir(parents=True, exist_ok=True)
    finish: Callable[[Pixels], Pixels] = lambda pixels: pixels  # noqa: E731
    if typed.gray:
        finish = lambda pixels: np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)  # noqa: E731
    for name in typed.condition or CONDITIONS:
        figures = list(all_figures(CONDITIONS[name], Style(dpi=typed.dpi)))
        for kind, figure in figures:
            (typed.output / f"{name}_{kind}.png").write_bytes(encode(figure, Look()))
        sheet = Figure("contact", ".png", finish(contact_sheet(figures)))
        (typed.output / f"contact_{name}.png").write_bytes(encode(sheet, Look()))
        print(typed.output / f"contact_{name}.png")


if __name__ == "__main__":
    main()
