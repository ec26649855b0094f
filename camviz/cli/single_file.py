"""`--output x.png`: the only figure of a command under that name, instead of a folder of figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from camviz.errors import OutputError, RequestError

if TYPE_CHECKING:
    from camviz.run.output.written import Written

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".pdf", ".svg", ".gif", ".mp4")


def names_file(output: Path) -> bool:
    """Return whether an output path is meant as a figure, not as a folder."""
    return output.suffix.lower() in _SUFFIXES and not output.is_dir()


class SingleFile:
    """The file that a command writes, and the temporary folder that its run writes to before."""

    def __init__(self, path: Path, images: list[str] | None) -> None:
        """Raise `OutputError` if `path` is one of the images."""
        for image in images or ():
            if path.exists() and Path(image).exists() and path.samefile(image):
                raise OutputError(f"output '{path}' is also an input", f"--output {path.with_suffix('')}")
        self.path = path
        self._temporary = TemporaryDirectory(prefix="camviz-")
        self.folder = Path(self._temporary.name)
        self._files: dict[Path, Written] = {}

    def add(self, file: Written) -> Written:
        """Return a written file under its final path. Raises `RequestError` for a second figure or another format."""
        path = self.path.with_suffix(".npy") if file.facts.get("kind") == "raw" else self.path
        folder = f"--output {self.path.with_suffix('')}"
        if path in self._files:
            raise RequestError(f"output '{path}' is one file, and there are several figures", folder)
        if path.suffix.lower().replace("jpeg", "jpg") != file.path.suffix.replace("jpeg", "jpg"):
            raise RequestError(f"output '{path}' cannot hold a {file.path.suffix.removeprefix('.')} file", folder)
        self._files[path] = file
        return replace(file, path=path)

    def deliver(self) -> Iterator[Written]:
        """Write the files under their final paths."""
        from camviz.run.output.files import prepare_folder, write_file

        if self._files:
            prepare_folder(self.path.parent)
        for path, file in self._files.items():
            write_file(path, file.path.read_bytes())
            yield replace(file, path=path)
        self._temporary.cleanup()
