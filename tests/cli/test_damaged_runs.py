"""Damaged run databases: truncated, with flipped bits, with changed values. What is wrong is said, and nothing more."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.helpers.runs import make_run

COUNT = int(os.environ.get("CAMVIZ_DAMAGES", "10"))  # of each kind
VALUES = (None, "", "{}", "[]", "[1]", '{"a": "b"}', "x" * 200, "[" * 5000, -1, 2**62, 0.5, b"\xff\x00", "9e999", '"a"')
COLUMNS = {
    "jobs": ("key", "command", "settings", "versions", "created", "batch_size"),
    "inputs": ("name", "path", "size", "mtime_ns", "files", "seconds", "finished", "predictions", "error"),
    "maps": (
        "position",
        "method",
        "target",
        "class_index",
        "score",
        "facets",
        "facts",
        "more",
        "view",
        "height",
        "raw",
    ),
    "files": ("path", "kind", "size", "facts"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run of three images and a failure."""
    folder = tmp_path_factory.mktemp("whole")
    maps = [{"facets": ("gradcam",)}, {"method": "layercam", "facets": ("layercam",)}]
    make_run(folder / "run", ["a.png", "b.png", "c.png"], maps, failed=("bad.png",))
    return folder / "run"


def truncated(path: Path, chance: random.Random) -> None:
    """Cut the file anywhere."""
    os.truncate(path, chance.randrange(path.stat().st_size))


def flipped(path: Path, chance: random.Random) -> None:
    """Change up to 40 bits."""
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 3, 40])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def changed(path: Path, chance: random.Random) -> None:
    """Change a value to one of another type or size."""
    table = chance.choice(list(COLUMNS))
    column = chance.choice(COLUMNS[table])
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (chance.choice(VALUES),))


def twisted(path: Path, chance: random.Random) -> None:
    """Change a value within the JSON of a row."""
    table, column = chance.choice([("jobs", "settings"), ("maps", "view"), ("maps", "more"), ("files", "facts")])
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for key, text in db.execute(f"SELECT {column}, {column} FROM {table}").fetchall():
            content = json.loads(text)
            at = content
            while isinstance(at, dict) and at:
                above, name = at, chance.choice(list(at))
                at = at[name]
            above[name] = chance.choice(VALUES[:5] + (-5, 1e300, [], {}, [[1]], True))  # noqa: RUF005
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (json.dumps(content, default=str), key))


@pytest.mark.parametrize(
    "command", [["export"], ["export", "--format", "npz"], ["report"], ["restyle", "--sign", "both"]]
)
@pytest.mark.parametrize("damage", [truncated, flipped, changed, twisted])
def test_damage_is_no_bug(run, whole, tmp_path, damage, command):
    for seed in range(COUNT):
        shutil.copytree(whole, tmp_path / "run")
        damage(tmp_path / "run" / "camviz.sqlite", random.Random(seed))
        result = run(*command, tmp_path / "run")
        where = (damage.__name__, seed, result.output, result.exception)
        assert result.exit_code in (0, 1, 2), where
        assert isinstance(result.exception, SystemExit | None), where
        assert "bug in camviz" not in result.output, where
        assert "unexpected" not in result.output, where
        if result.exit_code:
            assert "\nhint: " in result.stderr, where
        shutil.rmtree(tmp_path / "run")
