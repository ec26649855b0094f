"""The hub's cache, and how a download fails."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from camviz.errors import WeightsError
from camviz.models import hub


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """A cache with one file of one repository, in two revisions."""
    for name in ("HF_HOME", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    own = tmp_path / "models--owner--some--name"
    for commit in ("abc", "def"):
        (own / "snapshots" / commit).mkdir(parents=True)
        (own / "snapshots" / commit / "config.json").write_text(commit)
    (own / "refs").mkdir()
    (own / "refs" / "main").write_text("abc\n")
    (own / "refs" / "v2").write_text("def")
    hub._unreachable.cache_clear()
    return own


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "~/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub"),
        ({"HF_HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/h/hub"),
        ({"HF_HUB_CACHE": "/c", "HF_HOME": "/h"}, "/c"),
        ({"HUGGINGFACE_HUB_CACHE": "/old"}, "/old"),
    ],
)
def test_where_the_cache_is(monkeypatch, environment, expected):
    monkeypatch.delenv("HF_HUB_CACHE")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert hub.folder() == Path(expected).expanduser()


def test_what_the_cache_has():
    assert list(hub.repositories()) == ["owner/some--name"]
    assert hub.cached("owner/some--name", "config.json").read_text() == "abc"
    assert hub.cached("owner/some--name@v2", "config.json").read_text() == "def"
    assert hub.cached("owner/some--name@def", "config.json").read_text() == "def"
    assert hub.cached("owner/some--name@v3", "config.json") is None
    assert hub.cached("owner/some--name", "other.json") is None
    assert hub.cached("owner/other", "config.json") is None


def test_what_is_there_needs_no_model(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert hub.get("owner/some--name", "config.json", "").read_text() == "abc"


def test_without_a_model_it_fails_at_once(monkeypatch):
    def nobody(*_arguments, **_settings):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(WeightsError, match=r"model\.bin of https://huggingface\.co/a/b .*not known") as caught:
        hub.get("a/b", "model.bin", "the hint")
    assert caught.value.hint == "the hint"


def test_an_http_error_is_an_answer(monkeypatch):
    from urllib.error import HTTPError, URLError

    for error, expected in ((HTTPError("u", 405, "no HEAD", {}, None), ""), (URLError("refused"), "refused")):

        def fail(*_arguments, error=error, **_settings):
            raise error

        hub._unreachable.cache_clear()
        monkeypatch.setattr("urllib.request.urlopen", fail)
        assert hub._unreachable("https://example.org") == expected


def test_offline_on_request(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set"):
        hub.get("a/b", "model.bin", "")


def test_what_the_client_says_becomes_words(monkeypatch):
    client = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    monkeypatch.setattr(hub, "_unreachable", lambda address: "")
    for error, kind, words in (
        (EntryNotFoundError("404"), hub.NoSuchFile, "there is no such file"),
        (LocalEntryNotFoundError("offline"), WeightsError, "does not answer"),
        (RuntimeError("disk full\nmore"), WeightsError, r"\(disk full\)"),
    ):

        def fail(*_arguments, error=error, **_settings):
            raise error

        monkeypatch.setattr(client, "hf_hub_download", fail)
        with pytest.raises(kind, match=words) as caught:
            hub.get("a/b", "model.bin", "")
        assert type(caught.value) is kind
