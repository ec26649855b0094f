"""Every command line of README and docs is typed in a folder that has what it names, and does what it should.

A new line is run as it stands. Behind the names of large models are narrow ones, and instead of downloads come
untrained weights (tests/helpers/shell_lines.py); the shell is a real one.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.helpers import shell_lines as reader
from tests.helpers.documents import all_lines

LINES = all_lines()
NOT_HERE = {  # why a line cannot be typed here
    "camviz heatmap photos/ -m resnet50 -o run --engine ray": "its processes would need the weights themselves: "
    "tests/run/distributed/test_ray_runs.py",
    "camviz heatmap s3://bucket/photos -m resnet50 -o s3://bucket/run --engine ray --address auto": "there is no store "
    "and no cluster: tests/run/distributed/test_ray_runs.py, tests/io/test_paths.py",
    "camviz heatmap street.jpg -m yolo11n.pt": "ultralytics is not installed: tests/models/sources/test_ultralytics.py",
    "camviz heatmap street.jpg -m ultralytics:yolo11n -t all": "as the line before",
}
WITHOUT_CAMVIZ = ("pip install ",)  # what CI itself does
ON_A_RUN = re.compile(r"^camviz (?:restyle|replay|report|export) (run|camviz_out)\b")
SHARDS = "for i in 1 2 3 4; do camviz heatmap photos/ -m resnet50 -o run --shard $i/4; done"
SHORTER = {r"samples=\d+": "samples=6", r"1-16": "1-2", r"/16": "/2", r"ntasks=16": "ntasks=2"}  # fewer do as well
QUICKER = {"maximize": ("--steps", "3"), "reconstruct": ("--steps", "3")}
LISTS = ("models", "methods", "layers", "doctor", "evaluate")
SLOW = re.compile(
    r"camviz evaluate( photos/.*)?$|.* -m (ssd300_vgg16|deeplabv3_resnet50|fcn_resnet50)( |$)|.*clips/.* -m fasterrcnn_"
)
needs_extras = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("timm", "transformers")), reason="extras are missing"
)


def parameters() -> list:
    typed = [line for line in LINES if line not in NOT_HERE and re.search(r"\bcamviz ", line)]
    return [pytest.param(line, marks=[pytest.mark.slow] if SLOW.match(line) else [], id=line) for line in typed]


def typed_before(line: str) -> str:
    """What a reader of the page has typed before."""
    if line == "camviz merge run":
        return SHARDS
    found = ON_A_RUN.match(line)
    return f"camviz heatmap photos/ -m resnet50 -o {found[1]}" if found else ""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The reader's folder, and beside it the caches of downloads."""
    folder = tmp_path_factory.mktemp("reader") / "folder"
    folder.mkdir()
    reader.write_folder(folder)
    reader.write_saved(folder)
    return folder


@pytest.fixture
def typing(made, tmp_path, monkeypatch, run):
    """`typing(line)`: the calls of camviz in it, and their results."""
    folder = Path(shutil.copytree(made, tmp_path / "folder", copy_function=os.link))
    monkeypatch.chdir(folder)
    reader.narrow(monkeypatch)
    reader.stand_in_for_downloads(monkeypatch, made.parent)

    def answer(line: str):
        for pattern, short in SHORTER.items():
            line = re.sub(pattern, short, line)
        calls = reader.typed(line, folder, tmp_path / "tools")
        for arguments, *_ in calls:
            arguments.extend(QUICKER.get(arguments[0], ()))
        return calls, reader.play(calls, run, monkeypatch)

    return answer


@needs_extras
@pytest.mark.parametrize("line", parameters())
def test_a_line_of_the_documents(typing, line):
    commands = re.findall(r"camviz (\w+)", line)
    if before := typed_before(line):
        _, results = typing(before)
        assert [result.exit_code for result in results] == [0] * len(results)
    calls, results = typing(line)
    assert calls
    for (arguments, *_), result in zip(calls, results, strict=True):
        assert result.exit_code == 0, (arguments, result.stderr)
        assert "unexpected" not in result.stderr
    printed = [text for result in results for text in result.stdout.splitlines()]
    if commands[-1:] == ["replay"]:
        assert "equal: 4 map(s)" in results[-1].stderr
        return
    assert printed
    if commands and commands[-1] not in LISTS and not re.search("--(show-config|dry-run|json|help)", line):
        assert all(Path(path).stat().st_size for path in printed)


def test_what_is_not_typed_here_is_known():
    assert set(NOT_HERE) <= set(LINES)
    assert all(line.startswith(WITHOUT_CAMVIZ) for line in LINES if not re.search(r"\bcamviz ", line))
