"""The pictures of README and docs: every command of the gallery is run, and its first figure kept.

`python -m tools.docs.pictures [NAME…]`, NAME as in docs/gallery.md; without one, all. The picture of the report needs
Chromium and is left as it is without it.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
LARGEST = 1200  # pixels, the long side
_ENTRY = re.compile(r"^!\[.*?\]\(pictures/(\w+)\.webp\)\n\n```sh\n(.*?)\n```", re.MULTILINE)


def entries() -> Iterator[tuple[str, str]]:
    """Yield (name, command line) of every picture in the gallery."""
    yield from _ENTRY.findall((ROOT / "docs" / "gallery.md").read_text("utf-8"))


def make(name: str, line: str) -> None:
    """Run a command line in an empty folder and write its first figure as `docs/pictures/NAME.webp`."""
    with tempfile.TemporaryDirectory() as folder:
        for name_of_images in ("sample_images", "docs"):
            (Path(folder) / name_of_images).symlink_to(ROOT / name_of_images)
        figure = None
        for command in line.split("&&"):
            words = [sys.executable, "-m", "camviz", *shlex.split(command)[1:]]
            done = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True)
            figure = Path(folder) / done.stdout.splitlines()[0]
        assert figure is not None
        if figure.suffix == ".html":
            figure = _screenshot(figure)
        if figure is not None:
            _keep(figure, PICTURES / f"{name}.webp")


def _screenshot(page: Path) -> Path | None:
    """Return a picture of the page as Chromium shows it, None without Chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        print("no Chromium: the picture of the report stays as it is", file=sys.stderr)
        return None
    picture = page.with_suffix(".png")
    options = [
        "--headless",
        "--no-sandbox",
        "--hide-scrollbars",
        "--window-size=1280,800",
        "--virtual-time-budget=5000",
    ]
    subprocess.run([browser, *options, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)
    return picture


def _keep(figure: Path, path: Path) -> None:
    with Image.open(figure) as opened:
        image = opened.convert("RGB")
    image.thumbnail((LARGEST, LARGEST))
    image.save(path, quality=85, method=6)
    print(f"{path.relative_to(ROOT)}  {image.width}x{image.height}  {path.stat().st_size // 1024} kB")


def main() -> None:
    """Make the named pictures, or all."""
    known = dict(entries())
    for name in sys.argv[1:] or known:
        make(name, known[name])


if __name__ == "__main__":
    main()
