"""The hub's cache, and how a download fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from camviz.errors import WeightsError
from camviz.models import hub

client = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")


@pytest.fixture(autouse=True)
def cache(tmp_path, no_network) -> Path:
    """A cache with one file of one repository, in two revisions, on a machine without a network."""
    folder = tmp_path / "hub" / "models--owner--some-name"
    for commit in ("abc", "def"):
        (folder / "snapshots" / commit).mkdir(parents=True)
        (folder / "snapshots" / commit / "config.json").write_text(commit)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    (folder / "refs" / "v2").write_text("def")
    return folder


def test_what_the_cache_has():
    assert list(hub.repositories()) == ["owner/some-name"]


@pytest.mark.parametrize(
    ("repository", "file", "expected"),
    [
        ("owner/some-name", "config.json", "abc"),
        ("owner/some-name@v2", "config.json", "def"),
        ("owner/some-name@def", "config.json", "def"),
        ("owner/some-name@v3", "config.json", None),
        ("owner/some-name", "other.json", None),
        ("owner/other", "config.json", None),
        ("no//name", "config.json", None),
    ],
)
def test_a_file_of_the_cache(repository, file, expected):
    path = hub.cached(repository, file)
    assert (path.read_text() if path else None) == expected


def test_what_is_there_needs_no_network():
    assert hub.get("owner/some-name", "config.json", "").read_text() == "abc"


def test_without_a_network_it_fails_at_once(monkeypatch):
    """The client itself would try again for half a minute."""
    monkeypatch.setattr(client, "hf_hub_download", lambda *_, **__: pytest.fail("asked twice"))
    with pytest.raises(WeightsError, match=r"model\.bin of https://huggingface\.co/a/b \(no network\)") as caught:
        hub.get("a/b", "model.bin", "the hint")
    assert caught.value.hint == "the hint"


def test_offline_on_request(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(client.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
        hub.get("a/b", "model.bin", "")


def test_what_the_client_raises_becomes_an_error_of_ours(monkeypatch):
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for error, kind, words in (
        (EntryNotFoundError("404"), hub.NoSuchFile, "there is no such file"),
        (LocalEntryNotFoundError("offline"), WeightsError, "does not answer"),
        (RuntimeError("disk full\nmore"), WeightsError, r"\(disk full\)"),
    ):

        def fail(*_arguments, error=error, **_settings):
            raise error

        monkeypatch.setattr(client, "get_hf_file_metadata", fail)
        with pytest.raises(kind, match=words) as caught:
            hub.get("a/b", "model.bin", "")
        assert type(caught.value) is kind


def test_what_does_not_look_like_a_repository_is_an_error():
    with pytest.raises(WeightsError, match="no//name"):
        hub.get("no//name", "model.bin", "")
