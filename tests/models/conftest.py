"""For all tests of models: a machine without a network."""

from __future__ import annotations

import pytest


@pytest.fixture
def no_network(monkeypatch, tmp_path) -> None:
    """The hub's cache is `hub` below `tmp_path`, and the hub does not answer."""
    client = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")

    def fail(*_arguments: object, **_settings: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(client, "get_hf_file_metadata", fail)
    monkeypatch.setattr(client.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
