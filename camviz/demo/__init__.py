"""The bundled model: a small classifier of drawn shapes, trained by `tools.demo.train`, that works offline."""

from pathlib import Path


def sample_folder() -> Path:
    """The folder of sample images: inside an installed package, beside it in a checkout."""
    here = Path(__file__).resolve()
    installed = here.with_name("sample_images")
    return installed if installed.is_dir() else here.parents[2] / "sample_images"
