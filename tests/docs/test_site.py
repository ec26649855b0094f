"""The site builds without a warning, and needs nothing from the network."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.documents import ROOT
from tools.docs import pictures

needs_mkdocs = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("material", "mkdocstrings")),
    reason="pip install 'camviz[docs]'",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@needs_mkdocs
def test_nothing_is_loaded_from_the_network(site):
    resource = re.compile(r'<(?:script|img|iframe)\b[^>]*\bsrc="(?:https?:)?//|<link\b[^>]*\bhref="(?:https?:)?//')
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    assert [page.name for page in pages if resource.search(page.read_text("utf-8"))] == []


@needs_mkdocs
def test_generated_pages_are_found_by_the_search(site):
    index = (site / "search" / "search_index.js").read_text("utf-8")
    for words in ("camviz heatmap", "--allow-pickle", "hirescam", "pointing", "explain"):
        assert words in index


@needs_mkdocs
def test_there_is_a_dark_mode(site):
    assert 'data-md-color-scheme="slate"' in (site / "index.html").read_text("utf-8")


def test_every_picture_of_the_gallery_has_its_command_and_is_used():
    named = dict(pictures.entries())
    assert {path.stem for path in pictures.PICTURES.glob("*.webp")} == set(named)
    assert all(line.startswith("camviz ") for line in named.values())


def test_a_picture_is_made_anew(monkeypatch, tmp_path):
    from PIL import Image

    monkeypatch.setattr(pictures, "PICTURES", tmp_path)
    monkeypatch.setattr(pictures, "ROOT", ROOT)
    monkeypatch.setattr(pictures, "_keep", lambda figure, path: Image.open(figure).save(path))
    pictures.make("filters", dict(pictures.entries())["filters"])
    with Image.open(tmp_path / "filters.webp") as picture:
        assert picture.width > 100
