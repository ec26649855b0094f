"""Odd entries of a folder: each fails alone, at once, and no other program is started."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from PIL import Image as PILImage

import camviz
from camviz.errors import CamvizError, InputError
from camviz.io.images import read_image
from camviz.io.inputs import list_inputs
from camviz.io.opening import open_image

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n{} loop\n"


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def dangling_link(path: Path) -> None:
    path.symlink_to("gone.jpg")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def socket_file(path: Path) -> None:
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as server:  # an address is short
        server.bind(f"{short}/s")
        os.rename(f"{short}/s", path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def postscript(path: Path) -> None:
    path.write_bytes(EPS)


def document(path: Path) -> None:
    path.write_bytes(b"%PDF-1.7\n1 0 obj\n")


def metafile(path: Path) -> None:
    path.write_bytes(b"\xd7\xcd\xc6\x9a" + bytes(60))


ODD = (link_to_itself, dangling_link, pipe, socket_file, device, postscript, document, metafile)


@pytest.mark.parametrize("make", ODD)
def test_an_odd_entry_of_a_folder_fails_alone(tmp_path, monkeypatch, write_image, make):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("a program was started"))
    write_image(tmp_path / "a.png")
    make(tmp_path / "odd.jpg")
    write_image(tmp_path / "z.png")
    errors: dict[str, CamvizError | None] = {}

    def read() -> None:
        for image in list_inputs([str(tmp_path)]):
            try:
                read_image(image.path)
                errors[image.name] = None
            except CamvizError as error:
                errors[image.name] = error

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    reading.join(20)
    assert not reading.is_alive(), "a reader waits forever"
    assert [name for name, error in errors.items() if error is None] == ["a.png", "z.png"]
    assert f"'{tmp_path / 'odd.jpg'}'" in str(errors["odd.jpg"])
    assert "damaged" not in str(errors["odd.jpg"])


def test_a_folder_that_is_named_like_an_image_is_a_folder(tmp_path, write_image):
    (tmp_path / "x.jpg").mkdir()
    write_image(tmp_path / "x.jpg" / "a.png")
    assert [image.name for image in list_inputs([str(tmp_path)])] == ["x.jpg/a.png"]


def test_a_folder_that_cannot_be_listed_fails_alone(tmp_path, write_image, monkeypatch):
    write_image(tmp_path / "a.png")
    (tmp_path / "closed").mkdir()
    scandir, access = os.scandir, os.access

    def forbid(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbid)
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("closed") and access(path, mode))
    [image, folder] = list_inputs([str(tmp_path)])
    assert image.name == "a.png"
    with pytest.raises(InputError, match="may not be read"):
        read_image(folder.path)


def test_lack_of_memory_is_no_damage(tmp_path, write_image):
    path = write_image(tmp_path / "a.png")
    for error in (MemoryError(), OSError("out of memory error when reading image file")):
        with pytest.raises(MemoryError), open_image(path):
            raise error


def test_an_animation_in_a_canvas_of_any_size_is_refused_before_it_is_decoded(tmp_path):
    frames = [PILImage.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    data = bytearray((tmp_path / "a.webp").read_bytes())
    at = data.index(b"VP8X") + 12
    data[at : at + 6] = (65534).to_bytes(3, "little") * 2
    (tmp_path / "a.webp").write_bytes(data)
    with pytest.raises(InputError):
        read_image(tmp_path / "a.webp")


def test_every_image_file_is_opened_in_one_place():
    """Only `opening` lists the formats; `Image.open` and OpenCV's reader elsewhere would accept any."""
    package = Path(camviz.__file__).parent
    places = {}
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                whose = ast.unparse(node.func.value)
                if (node.func.attr == "open" and "Image" in whose) or node.func.attr in ("imread", "imreadmulti"):
                    places[f"{path.relative_to(package).as_posix()}"] = [word.arg for word in node.keywords]
    assert places == {"io/opening.py": ["formats"]}
