"""What `mkdocs build` calls: add the generated pages to those of `docs/`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mkdocs.structure.files import File, Files

from tools.docs.reference import pages


def on_files(files: Files, config: Any) -> Files:
    """Add the reference pages, generated from the program."""
    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files
