"""Files of the Hugging Face hub: from its cache if they are there, downloaded if not."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from camviz.errors import WeightsError

_PATIENCE = 5.0  # seconds that the hub may take to answer


class NoSuchFile(WeightsError):
    """The hub answers, but does not have this file."""


def endpoint() -> str:
    """Return the hub's address; HF_ENDPOINT names a mirror."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def repositories() -> Iterator[str]:
    """Yield the repositories of models that the cache has something of, as "owner/name"."""
    if not find_spec("huggingface_hub"):
        return
    from huggingface_hub import constants

    for folder in sorted(Path(constants.HF_HUB_CACHE).glob("models--*")):
        if (folder / "refs" / "main").is_file():
            yield folder.name.removeprefix("models--").replace("--", "/", 1)


def cached(repository: str, file: str) -> Path | None:
    """Return the file in the cache, or None. A repository may name a revision: "owner/name@v1"."""
    from huggingface_hub import try_to_load_from_cache

    name, _, revision = repository.partition("@")
    try:
        path = try_to_load_from_cache(name, file, revision=revision or None)
    except ValueError:  # no name that a repository can have
        return None
    return Path(path) if isinstance(path, str) else None


def get(repository: str, file: str, hint: str) -> Path:
    """Return the file, downloaded if need be. Raises `WeightsError` with the hint where that fails."""
    path = cached(repository, file)
    if path:
        return path
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

    name, _, revision = repository.partition("@")
    what = f"cannot get {file} of {endpoint()}/{name}"
    try:  # ask once: without a network, hf_hub_download tries for half a minute
        get_hf_file_metadata(hf_hub_url(name, file, revision=revision or None), timeout=_PATIENCE)
        return Path(hf_hub_download(name, file, revision=revision or None, etag_timeout=_PATIENCE))
    except RepositoryNotFoundError as error:
        raise WeightsError(f"{what} (no such repository, or a private one)", hint) from error
    except LocalEntryNotFoundError as error:
        raise WeightsError(f"{what} (the hub does not answer)", hint) from error
    except EntryNotFoundError as error:
        raise NoSuchFile(f"{what} (there is no such file)", hint) from error
    except Exception as error:  # OSError, and whatever the client's HTTP library raises
        raise WeightsError(f"{what} ({str(error).strip().partition(chr(10))[0]})", hint) from error
