"""One scale for all maps of a picture, or of a run: computed first, drawn from the ledger afterwards."""

from __future__ import annotations

import json

import numpy as np
import pytest

from camviz.render.color import settled, strength
from camviz.run.database.database import Ledger
from camviz.run.shared_scale import settled_for_run, values_of
from camviz.types import Look
from tests.helpers.runs import make_run


@pytest.fixture
def pictures(picture, tmp_path):
    for number in range(3):
        picture(tmp_path / "photos" / f"{number}.png", seed=number)
    return tmp_path / "photos"


def strongest(folder) -> float:
    with Ledger(folder) as ledger:
        job = ledger.newest()
        return max(float(values.max()) for values in values_of(ledger, job))


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


def test_maps_of_a_picture_have_one_scale(heatmap, pictures):
    own = highs(heatmap(pictures, "-t", "0", "-t", "1", "--json"))
    shared = highs(heatmap(pictures, "-t", "0", "-t", "1", "--json", "--scale", "row"))
    assert len(set(own)) == 6
    assert shared == [top for pair in zip(own[::2], own[1::2], strict=True) for top in [max(pair)] * 2]


def test_maps_of_a_run_have_one_scale_that_is_found_after_all_are_computed(heatmap, pictures, tmp_path, written):
    result = heatmap(pictures, "--json", "--scale", "run")
    assert result.exit_code == 0, result.stderr
    assert highs(result) == [strongest(tmp_path / "out")] * 3
    assert written() == ["0.png.png", "1.png.png", "2.png.png"]
    assert "3 pictures, 3 files" in result.stderr


def test_a_stronger_picture_changes_the_figures_of_all_without_computing_them_again(heatmap, pictures, tmp_path):
    heatmap(pictures, "--scale", "run")
    again = heatmap(pictures, "--scale", "run")
    assert (again.stdout, again.exit_code) == ("", 0)
    assert "3 done before" in again.stderr
    with Ledger(tmp_path / "out", write=True) as ledger:  # as if one of them had been far stronger
        ledger._db.execute("UPDATE files SET facts = replace(facts, '\"high\": ', '\"high\": 9')")
    assert len(heatmap(pictures, "--scale", "run").stdout.splitlines()) == 3
    (tmp_path / "out" / "1.png.png").unlink()
    assert heatmap(pictures, "--scale", "run").stdout.splitlines() == [str(tmp_path / "out" / "1.png.png")]


def test_a_picture_that_is_gone_has_no_figure_and_is_told(heatmap, pictures, tmp_path):
    heatmap(pictures, "--scale", "run")
    (tmp_path / "out" / "1.png.png").unlink()
    from PIL import Image

    Image.new("RGB", (9, 9)).save(pictures / "3.png")
    with Ledger(tmp_path / "out", write=True) as ledger:
        ledger._db.execute("UPDATE inputs SET path = path || 'x' WHERE name = '1.png'")
    result = heatmap(pictures / "0.png", pictures / "2.png", "--scale", "run")
    assert result.exit_code == 1
    assert "1.pngx" in result.stderr


@pytest.mark.parametrize("sign", ["positive", "both"])
def test_restyle_gives_what_heatmap_would_have(heatmap, run, pictures, tmp_path, sign):
    heatmap(pictures)
    result = run("restyle", tmp_path / "out", "--scale", "run", "--sign", sign, "-o", tmp_path / "again", "--json")
    heatmap(pictures, "--scale", "run", "--sign", sign, "-o", tmp_path / "run")
    assert len(set(highs(result))) == 1
    for name in ("0.png.png", "1.png.png", "2.png.png"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_the_report_draws_its_small_pictures_on_the_same_scale(tmp_path):
    make_run(tmp_path / "run", ["a.png", "b.png"])
    with Ledger(tmp_path / "run") as ledger:
        job = ledger.newest()
        assert settled_for_run(ledger, job, Look(scale="run")).scale == f"fixed:{strongest(tmp_path / 'run')!r}"
        assert settled_for_run(ledger, job, Look(scale="row")).scale == "row"
