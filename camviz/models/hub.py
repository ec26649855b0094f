"""Files of the Hugging Face hub: from its cache if they are there, downloaded if not.

The hub's own client takes half a minute to find out that there is no network; this asks once, for five seconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from camviz.errors import WeightsError

_PATIENCE = 5.0  # seconds


class NoSuchFile(WeightsError):
    """The hub answers, but does not have this file."""


def endpoint() -> str:
    """The hub's address; HF_ENDPOINT names a mirror."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def folder() -> Path:
    """Where the hub's client keeps downloads (HF_HUB_CACHE, HF_HOME and XDG_CACHE_HOME are respected)."""
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if given:
        return Path(given).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    return Path(home).expanduser() / "hub"


def repositories() -> Iterator[str]:
    """The repositories of models that the cache has something of, as "owner/name"."""
    for place in sorted(folder().glob("models--*")):
        if (place / "refs" / "main").is_file():
            yield place.name.removeprefix("models--").replace("--", "/", 1)


def cached(repository: str, file: str) -> Path | None:
    """The file as it lies in the cache, or None. A repository may name a revision: "owner/name@v1"."""
    name, _, revision = repository.partition("@")
    place = folder() / f"models--{name.replace('/', '--')}"
    reference = place / "refs" / (revision or "main")
    commit = reference.read_text().strip() if reference.is_file() else revision
    found = place / "snapshots" / commit / file
    return found if commit and found.is_file() else None


def get(repository: str, file: str, hint: str) -> Path:
    """The file, downloaded if need be. Raises `WeightsError` with the hint when it cannot be had."""
    found = cached(repository, file)
    if found:
        return found
    name, _, revision = repository.partition("@")
    what = f"cannot get {file} of {endpoint()}/{name}"
    reason = _unreachable(endpoint())
    if reason:
        raise WeightsError(f"{what} ({reason})", hint)
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(hf_hub_download(name, file, revision=revision or None))
    except RepositoryNotFoundError as error:
        raise WeightsError(f"{what} (no such repository, or a private one)", hint) from error
    except LocalEntryNotFoundError as error:
        raise WeightsError(f"{what} (the hub does not answer)", hint) from error
    except EntryNotFoundError as error:
        raise NoSuchFile(f"{what} (there is no such file)", hint) from error
    except Exception as error:  # OSError, and whatever the client's model library has of its own
        raise WeightsError(f"{what} ({str(error).strip().partition(chr(10))[0]})", hint) from error


@cache
def _unreachable(address: str) -> str:
    """Why no answer comes from the address, "" when one does. An HTTP error is an answer."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "HF_HUB_OFFLINE is set"
    try:
        urlopen(Request(address, method="HEAD"), timeout=_PATIENCE).close()
    except HTTPError:
        return ""
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
    return ""
