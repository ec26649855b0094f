"""A finished run that the commands about earlier runs read."""

from __future__ import annotations

import pytest

from tests.helpers.runs import make_run

MAPS = [{"facets": ("gradcam",)}, {"method": "layercam", "facets": ("layercam",)}]


@pytest.fixture
def finished_run(tmp_path, monkeypatch):
    """A run of two images and one failure in the current folder: out."""
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path / "out", ["a.png", "x/b.png"], MAPS, failed=("bad.png",))
