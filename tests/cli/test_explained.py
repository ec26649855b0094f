"""The line of each image on stderr: what was explained, and where it can be seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from camviz.cli.explained import MOST, explained
from camviz.io.inputs import Input
from camviz.run.database.records import Record
from camviz.run.listing import Listing

TABBY = {"label": "tabby", "index": 281, "score": 9.5, "probability": 0.358}


@pytest.mark.parametrize(
    ("predictions", "files", "expected"),
    [
        ([TABBY], ["a_gradcam.png"], "a.jpg  tabby 35.8 %  (281)  → a_gradcam.png"),
        ([TABBY], [], "a.jpg  tabby 35.8 %  (281)"),
        ([TABBY | {"probability": None}], [], "a.jpg  tabby 9.5  (281)"),
        ([TABBY | {"label": "class 281"}], [], "a.jpg  class 281 35.8 %"),
        ([TABBY | {"true": "lynx"}], [], "a.jpg  tabby 35.8 %  (281)  true: lynx"),
        ([TABBY | {"true": "tabby"}], [], "a.jpg  tabby 35.8 %  (281)"),
        ([{"rows": [{"label": "tabby"}, {"label": "tabby"}]}], [], "a.jpg  tabby"),
        ([TABBY] * 5, ["a", "b", "c", "d"], "a.jpg  " + "tabby 35.8 %  (281), " * 3),
        ([], ["a_features.png"], ""),
    ],
)
def test_the_line_of_an_image(predictions, files, expected):
    line = explained(Record(Input(Path("a.jpg"), "a.jpg"), predictions=tuple(predictions)), files)
    if len(predictions) > 3:
        assert line.startswith(expected.rstrip(", "))
        assert line.endswith("and 2 more targets  → a, b, c and 1 more file")
    else:
        assert line == expected


def lines(result) -> list[str]:
    return [line for line in result.stderr.splitlines() if "  → " in line]


@pytest.fixture
def pics(tmp_path, write_image):
    """`pics(12)`: a folder of so many images."""

    def make(count: int) -> Path:
        for number in range(count):
            write_image(tmp_path / "pics" / f"{number}.png", seed=number)
        return tmp_path / "pics"

    return make


def test_each_of_a_few_images_has_a_line(heatmap, pics):
    result = heatmap(pics(MOST), "--json")
    assert lines(result) == []
    facts = [json.loads(line) for line in result.stdout.splitlines()]
    shown = lines(heatmap(pics(MOST), "--overwrite"))
    for one, line in zip(facts, shown, strict=True):
        name = Path(one["path"]).name
        assert line.startswith(f"{Path(one['input']).name}  {one['target']} ")
        assert line.endswith(f"  → {name}")


def test_many_images_and_quiet_runs_have_no_lines(heatmap, pics):
    assert lines(heatmap(pics(MOST + 1))) == []
    assert lines(heatmap(pics(3), "--overwrite", "--quiet")) == []


def test_a_single_file_is_named_as_it_was_typed(heatmap, pics, tmp_path):
    [line] = lines(heatmap(pics(1) / "0.png", "-o", tmp_path / "x.png"))
    assert line.endswith("  → x.png")


def test_a_listing_is_looked_at_only_as_far_as_needed():
    taken = []

    def inputs():
        for number in range(99):
            taken.append(number)
            yield Input(Path(f"{number}.png"), f"{number}.png")

    listing = Listing(inputs())
    assert not listing.at_most(10)
    assert len(taken) == 11
    assert [one.name for one in listing] == [f"{number}.png" for number in range(99)]
    assert Listing(iter([Input(Path("a"), "a")])).at_most(10)
