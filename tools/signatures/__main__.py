"""`python -m tools.signatures`: make the table from the torchvision and timm that are installed."""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import version
from pathlib import Path

from camviz.models import signatures
from camviz.models.signatures.table import FILE, pack
from tools.signatures.make import from_timm, from_torchvision


def main() -> None:
    """Write the table into the package. Without timm the rows of timm would be lost, so that is refused."""
    if not importlib.util.find_spec("timm"):
        sys.exit("timm is not installed: pip install timm")
    rows = [*from_torchvision(), *from_timm()]
    made = {name: version(name).partition("+")[0] for name in ("torchvision", "timm")}
    path = Path(signatures.__file__).with_name(FILE)
    path.write_bytes(pack(rows, made))
    print(f"{len(rows)} architectures in {path} ({path.stat().st_size} bytes)", file=sys.stderr)


if __name__ == "__main__":
    main()
