"""One scale for all maps of an image, or of a run: computed first, drawn from the database afterwards."""

from __future__ import annotations

import json

import numpy as np
import pytest

from camviz.render.color import settled, strength
from camviz.run.database.database import Database
from camviz.run.shared_scale import settled_for_run, values_of
from camviz.types import Look
from tests.helpers.runs import make_run


@pytest.fixture
def images(write_image, tmp_path):
    for number in range(3):
        write_image(tmp_path / "photos" / f"{number}.png", seed=number)
    return tmp_path / "photos"


def strongest(folder) -> float:
    with Database(folder) as database:
        job = database.newest()
        return max(float(values.max()) for values in values_of(database, job))


def highs(result) -> list[float]:
    return [json.loads(line)["high"] for line in result.stdout.splitlines()]


def test_a_row_shares_the_largest_value_of_its_maps_under_the_sign():
    maps = [np.float32([[1, -7]]), np.float32([[3, 2]]), np.float32([[np.nan, 0]])]
    assert settled(Look(scale="row"), maps).scale == "fixed:3.0"
    assert settled(Look(scale="row", sign="negative"), maps).scale == "fixed:7.0"
    assert settled(Look(scale="row", sign="both"), maps).scale == "fixed:7.0"
    assert settled(Look(scale="run"), maps) == Look(scale="run"), "that is not for a row to say"
    assert settled(Look(), maps) == Look()
    assert strength(np.float32([[-1, -2]]), "positive") == 0


def test_maps_of_an_image_have_one_scale(heatmap, images):
    own = highs(heatmap(images, "-t", "0", "-t", "1", "--json"))
    shared = highs(heatmap(images, "-t", "0", "-t", "1", "--json", "--scale", "row"))
    assert len(set(own)) == 6
    assert shared == [top for pair in zip(own[::2], own[1::2], strict=True) for top in [max(pair)] * 2]


def test_maps_of_a_run_have_one_scale_that_is_found_after_all_are_computed(heatmap, images, tmp_path, written):
    result = heatmap(images, "--json", "--scale", "run")
    assert result.exit_code == 0, result.stderr
    assert highs(result) == [strongest(tmp_path / "out")] * 3
    assert written() == ["0_gradcam.png", "1_gradcam.png", "2_gradcam.png"]
    assert "3 images, 3 files" in result.stderr


def test_a_stronger_image_changes_the_figures_of_all_without_computing_them_again(heatmap, images, tmp_path):
    heatmap(images, "--scale", "run")
    again = heatmap(images, "--scale", "run")
    assert (again.stdout, again.exit_code) == ("", 0)
    assert "3 done before" in again.stderr
    with Database(tmp_path / "out", write=True) as database:  # as if one of them had been far stronger
        database._db.execute("UPDATE files SET facts = replace(facts, '\"high\": ', '\"high\": 9')")
    assert len(heatmap(images, "--scale", "run").stdout.splitlines()) == 3
    (tmp_path / "out" / "1_gradcam.png").unlink()
    assert heatmap(images, "--scale", "run").stdout.splitlines() == [str(tmp_path / "out" / "1_gradcam.png")]


def test_an_image_that_is_gone_has_no_figure_and_is_told(heatmap, images, tmp_path):
    heatmap(images, "--scale", "run")
    (tmp_path / "out" / "1_gradcam.png").unlink()
    from PIL import Image

    Image.new("RGB", (9, 9)).save(images / "3.png")
    with Database(tmp_path / "out", write=True) as database:
        database._db.execute("UPDATE inputs SET path = path || 'x' WHERE name = '1.png'")
    result = heatmap(images / "0.png", images / "2.png", "--scale", "run")
    assert result.exit_code == 1
    assert "1.pngx" in result.stderr


@pytest.mark.parametrize("sign", ["positive", "both"])
def test_restyle_gives_what_heatmap_would_have(heatmap, run, images, tmp_path, sign):
    heatmap(images)
    result = run("restyle", tmp_path / "out", "--scale", "run", "--sign", sign, "-o", tmp_path / "again", "--json")
    heatmap(images, "--scale", "run", "--sign", sign, "-o", tmp_path / "run")
    assert len(set(highs(result))) == 1
    for name in ("0_gradcam.png", "1_gradcam.png", "2_gradcam.png"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_the_report_draws_its_small_images_on_the_same_scale(tmp_path):
    make_run(tmp_path / "run", ["a.png", "b.png"])
    with Database(tmp_path / "run") as database:
        job = database.newest()
        assert settled_for_run(database, job, Look(scale="run")).scale == f"fixed:{strongest(tmp_path / 'run')!r}"
        assert settled_for_run(database, job, Look(scale="row")).scale == "row"
