"""The sample images and their annotations: `python -m tools.demo.samples FOLDER` draws them again."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from camviz.demo import sample_folder
from tools.demo.scenes import Place, Scene, compose

FOLDER = sample_folder()
FORMAT = (
    "One entry per file. box: x0, y0, x1, y1 in pixels, x1 and y1 exclusive. runs: the visible pixels, row by row from "
    "the top left corner, as lengths of runs in turn outside and inside the mask, the first one outside. "
    "dominant: the place in shapes of the one with the largest visible area."
)


@dataclass(frozen=True)
class Sample:
    """One image to draw: file name, size in pixels, seed of its colors, shapes from back to front."""

    name: str
    size: tuple[int, int]
    seed: int
    places: tuple[Place, ...]

    def draw(self) -> Scene:
        """The scene, the same every time."""
        scene = compose(np.random.default_rng(self.seed), *self.size, self.places, clutter=0.6, noise=0.012)
        if scene is None:
            raise ValueError(f"{self.name} has a shape that cannot be seen")
        return scene


SAMPLES = (
    Sample("star_and_ring", (640, 480), 7, (Place("ring", 500, 335, 82), Place("star", 235, 220, 150, 0.2))),
    Sample(
        "heart_circle_triangle",
        (640, 480),
        105,
        (Place("circle", 118, 130, 62), Place("triangle", 530, 350, 92, 0.4), Place("heart", 310, 235, 128, -0.15)),
    ),
    Sample(
        "two_crosses_and_drop",
        (640, 480),
        204,
        (Place("cross", 165, 165, 118, 0.3), Place("cross", 465, 335, 76, 0.9), Place("drop", 495, 120, 78, 0.6)),
    ),
    Sample(
        "arrow_near_corner", (640, 480), 310, (Place("circle", 270, 300, 60), Place("arrow", 505, 108, 128, -0.5))
    ),
    Sample("ring_over_square", (640, 480), 411, (Place("square", 275, 240, 172, 0.2), Place("ring", 470, 330, 88))),
    Sample(
        "crescent_and_star", (640, 480), 506, (Place("crescent", 230, 250, 150, 0.5), Place("star", 480, 160, 74, 0.4))
    ),
    Sample("drop_alone", (640, 480), 605, (Place("drop", 345, 240, 150, -0.35),)),
    Sample(
        "triangle_cross_heart_circle",
        (640, 480),
        707,
        (
            Place("circle", 110, 355, 62),
            Place("cross", 520, 125, 84, 0.5),
            Place("heart", 505, 365, 84, 0.3),
            Place("triangle", 255, 205, 168, 0.15),
        ),
    ),
    Sample(
        "wide_star_square_arrow",
        (1200, 300),
        803,
        (Place("star", 150, 165, 80, 0.3), Place("square", 590, 150, 122, 0.25), Place("arrow", 1010, 150, 95, 2.9)),
    ),
    Sample(
        "tall_crescent_heart_ring",
        (300, 800),
        908,
        (Place("ring", 170, 690, 62), Place("crescent", 130, 135, 80, 1.2), Place("heart", 155, 400, 105, 0.2)),
    ),
)  # fmt: skip


def encode(mask: NDArray[np.bool_]) -> list[int]:
    """Run lengths of a mask (H, W), row by row: outside, inside, outside, …"""
    flat = np.concatenate([[False], mask.ravel(), [not mask.ravel()[-1]]])
    return [int(run) for run in np.diff(np.flatnonzero(np.diff(flat)), prepend=0)]


def annotation(scene: Scene) -> dict[str, Any]:
    """What annotations.json says about one scene."""
    height, width = scene.image.shape[:2]
    shapes = [{"kind": s.kind, "box": list(s.box), "runs": encode(s.mask)} for s in scene.shapes]
    dominant = next(index for index, shape in enumerate(scene.shapes) if shape is scene.dominant)
    return {"width": width, "height": height, "dominant": dominant, "shapes": shapes}


def write(folder: Path) -> list[Path]:
    """Draws every sample into a folder, with annotations.json beside them; returns the images."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    paths, files = [], {}
    for sample in SAMPLES:
        scene, path = sample.draw(), folder / f"{sample.name}.jpg"
        cv2.imwrite(str(path), np.ascontiguousarray(scene.image[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 92])
        files[path.name] = annotation(scene)
        paths.append(path)
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in files.items())
    text = f'{{\n  "format": {json.dumps(FORMAT)},\n  "files": {{\n{lines}\n  }}\n}}\n'
    (folder / "annotations.json").write_text(text, encoding="utf-8")
    return paths


if __name__ == "__main__":
    for written in write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(written)
