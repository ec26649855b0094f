"""What the generator says about a scene is what it drew."""

import subprocess
import sys

import numpy as np
import pytest

from tools.demo.scenes import DOMINANCE, KINDS, Place, compose, draw_scene, is_clear, outline, unit_area


def scenes(count, **options):
    rng = np.random.default_rng(5)
    return [draw_scene(rng, 128, 96, **options) for _ in range(count)]


def plain(*places, size=(64, 48), seed=0):
    """Shapes on a plain background, without grain."""
    return compose(np.random.default_rng(seed), *size, places, clutter=0, texture=0, noise=0)


def test_a_square_covers_the_pixels_it_should():
    # radius 8√2 and an eighth of a turn: sides of 16 along the axes, from (16, 8) to (32, 24)
    scene = plain(Place("square", 24, 16, 8 * 2**0.5, np.pi / 4))
    [shape] = scene.shapes
    assert (shape.kind, shape.box, shape.area) == ("square", (16, 8, 32, 24), 256)
    assert shape.mask[8:24, 16:32].all()
    assert scene.dominant is shape
    # moved by 0.4 of a pixel the edges cover 0.6 and 0.4 of theirs, and half decides
    for shift, box in ((0.4, (16, 8, 32, 24)), (0.6, (17, 9, 33, 25))):
        [shape] = plain(Place("square", 24 + shift, 16 + shift, 8 * 2**0.5, np.pi / 4)).shapes
        assert shape.box == box


def test_the_mask_lies_where_the_color_changed():
    # with the same seed the background is the same, only the shape is new
    without, scene = plain(Place("circle", 10, 10, 2)), plain(Place("circle", 40, 24, 12))
    changed = np.abs(scene.image.astype(int) - without.image).sum(2)
    mask = scene.shapes[0].mask
    assert (changed[mask] > 15).mean() > 0.95
    away = ~mask
    away[10:38, 26:60] = away[5:18, 5:18] = False  # both circles, shadows included
    assert changed[away].max() == 0


def test_a_ring_has_a_hole():
    [ring] = plain(Place("ring", 32, 24, 20)).shapes
    assert ring.box == (12, 4, 52, 44)
    assert not ring.mask[24, 32]
    assert ring.area == pytest.approx(np.pi * 400 * (1 - 0.48**2), rel=0.02)


def test_a_later_shape_hides_an_earlier_one():
    below, above = Place("circle", 28, 24, 12), Place("circle", 36, 24, 12)
    first, second = plain(below, above).shapes
    assert not (first.mask & second.mask).any()
    assert (first.mask | second.mask).sum() < 2 * second.area
    assert first.box[2] < second.box[2]
    assert second.area == plain(above).shapes[0].area
    assert plain(Place("circle", 32, 24, 5), above) is None


def test_stretching_keeps_the_area():
    rng = np.random.default_rng(0)
    scene = compose(rng, 100, 100, [Place("circle", 50, 50, 20)], clutter=0, stretch=4.0)
    [shape] = scene.shapes
    assert shape.box == (10, 40, 90, 60)
    assert shape.area == pytest.approx(np.pi * 400, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_an_outline_fits_its_radius_and_area(kind):
    assert max(np.linalg.norm(contour, axis=1).max() for contour in outline(kind)) == pytest.approx(1)
    [shape] = plain(Place(kind, 100, 100, 80, 0.3), size=(200, 200)).shapes
    assert shape.area == pytest.approx(unit_area(kind) * 80**2, rel=0.01)


def test_boxes_bound_the_masks():
    for scene in scenes(40):
        assert scene.image.shape == (96, 128, 3)
        assert scene.image.dtype == np.uint8
        for shape in scene.shapes:
            x0, y0, x1, y1 = shape.box
            inside = shape.mask[y0:y1, x0:x1]
            assert shape.mask.sum() == inside.sum() > 0
            assert inside[0].any()
            assert inside[-1].any()
            assert inside[:, 0].any()
            assert inside[:, -1].any()


def test_no_pixel_belongs_to_two_shapes():
    for scene in scenes(40, shapes=(2, 4)):
        assert np.sum([shape.mask for shape in scene.shapes], 0).max() == 1


def test_one_shape_is_clearly_the_largest():
    counts = set()
    for scene in scenes(60):
        areas = sorted((shape.area for shape in scene.shapes), reverse=True)
        counts.add(len(areas))
        assert scene.dominant.area == areas[0]
        assert len(areas) == 1 or areas[0] >= DOMINANCE * areas[1]
    assert counts == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("x", "radius", "clear"),
    [(48, 10, True), (48, 13, False), (28, 10, False)],  # small enough, too large, in the way of the other
)
def test_a_scene_is_clear_when_one_shape_stands_out(x, radius, clear):
    places = [Place("circle", 18, 24, 15), Place("circle", x, 24, radius)]
    assert is_clear(plain(*places), places) == clear


def test_the_number_of_shapes_is_kept():
    assert {len(scene.shapes) for scene in scenes(20, shapes=(1, 1))} == {1}
    assert min(len(scene.shapes) for scene in scenes(20, shapes=(3, 4))) == 3


def test_a_seed_gives_one_scene():
    first, second, other = (draw_scene(np.random.default_rng(seed), 80, 80) for seed in (3, 3, 4))
    assert np.array_equal(first.image, second.image)
    assert [(s.kind, s.box) for s in first.shapes] == [(s.kind, s.box) for s in second.shapes]
    assert not np.array_equal(first.image, other.image)


def test_color_does_not_tell_the_kind():
    """The mean color of the shapes differs between kinds no more than chance allows."""
    colors = {kind: [] for kind in KINDS}
    for scene in scenes(400, shapes=(1, 1)):
        colors[scene.dominant.kind].append(scene.image[scene.dominant.mask].mean(0))
    everything = np.concatenate(list(colors.values()))
    for own in colors.values():
        assert len(own) > 15
        error = everything.std(0) / len(own) ** 0.5
        assert (np.abs(np.mean(own, 0) - everything.mean(0)) < 4 * error).all()


def test_importing_the_demo_costs_no_framework():
    code = "import sys, camviz.demo.model, tools.demo.samples; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "torchvision", "cv2"} & set(loaded)
