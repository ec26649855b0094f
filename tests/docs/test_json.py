"""Every key that `--json` prints is in its section of the reference."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from camviz.demo import sample_folder
from camviz.metrics import METRICS
from tests.helpers.documents import text

SECTIONS = {
    name: body
    for heading, body in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", text("docs/reference/json.md"), re.M | re.S)
    for name in re.findall(r"`(\w+)`", heading)
}
LINES = [
    "heatmap a/star.jpg -m demo --colorbar --save-raw --floor",
    "heatmap a/star.jpg -m demo -t star -t ring --layout grid",
    "compare a/star.jpg b/drop.jpg -m demo -m demo --weights none --top 2",
    "features a/star.jpg -m demo",
    "features a/star.jpg -m demo --like a/star.jpg:120,120",
    "features a/star.jpg -m demo --correspond b/drop.jpg",
    "filters -m demo",
    "patches a b -m demo --channel 3 --top 1",
    "concepts a b -m demo --target star --concepts 2 --top 1",
    "maximize -m demo --target star --steps 2",
    "reconstruct a/star.jpg -m demo --steps 2",
    "errors . -m demo --labels-from true.csv",
    "evaluate a/star.jpg -m demo --metric sparsity",
    "doctor a/star.jpg -m demo --weights none",
    "layers demo",
    "models demo",
    "methods",
]
OPEN = {"settings", "facts", *METRICS.names()}  # whose keys are names


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for sample, path in (("star_and_ring", "a/star"), ("drop_alone", "b/drop")):
        (tmp_path / path).parent.mkdir()
        shutil.copy(sample_folder() / f"{sample}.jpg", tmp_path / f"{path}.jpg")
    (tmp_path / "true.csv").write_text("file,label\na/star.jpg,star\nb/drop.jpg,ring\n")
    monkeypatch.chdir(tmp_path)


def keys(value) -> set[str]:
    """All keys of an object and of those in it."""
    if isinstance(value, list):
        return set().union(*map(keys, value))
    if not isinstance(value, dict):
        return set()
    inner = set().union(*(keys(part) for name, part in value.items() if name not in OPEN))
    return set(value) | inner


@pytest.mark.parametrize("line", LINES)
def test_every_key_is_documented(run, folder, line):
    command, *words = line.split()
    done = run(command, *words, "--json")
    printed = [json.loads(part) for part in done.stdout.splitlines()]
    assert printed, done.stderr
    documented = set(re.findall(r"`(\w+)`", SECTIONS[command])) | set(METRICS.names())
    assert keys(printed) - documented == set()


def test_the_keys_of_a_heatmap_are_printed(run, folder):
    table = re.findall(r"^\| ((?:`\w+` ?)+) \|", SECTIONS["heatmap"], re.M)
    documented = {name for cell in table for name in re.findall(r"\w+", cell)}
    elsewhere = {
        "bounding_box",
        "region",
        "stride",
        "weak",
        "note",
        "pixels",
        "maps",
    }  # of detectors, segmenters, weak maps and grids
    printed = json.loads(run("heatmap", "a/star.jpg", "-m", "demo", "--floor", "--json").stdout)
    assert documented - elsewhere <= set(printed)
