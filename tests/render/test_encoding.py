"""Files hold what was drawn."""

import io

import numpy as np
import pytest
from PIL import Image

from camviz.errors import RequestError, UnknownName
from camviz.render import encode
from camviz.render.encoding import FORMATS, suffix
from camviz.types import Figure, Look

RED = np.full((9, 12, 3), (250, 10, 20), np.uint8)


def decoded(pixels: np.ndarray, format: str) -> np.ndarray:
    data = encode(Figure("overlay", suffix(format), pixels), Look(format=format))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("format", FORMATS)
def test_red_is_red(format: str) -> None:
    assert np.abs(decoded(RED, format).astype(int) - RED).max() <= (0 if format == "png" else 6)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (17, 31), (480, 640)])
def test_png_keeps_every_pixel(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    ramp = np.add.outer(np.arange(size[0]), np.arange(size[1]))[..., None].repeat(3, axis=2).astype(np.uint8)
    for pixels in (noise, ramp, noise[::-1, ::-1]):
        np.testing.assert_array_equal(decoded(pixels, "png"), pixels)


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_pixels_give_the_same_bytes(format: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    first, second = (encode(Figure("x", "", noise), Look(format=format)) for _ in range(2))
    assert first == second


def test_signatures() -> None:
    starts = {"png": b"\x89PNG", "jpg": b"\xff\xd8", "jpeg": b"\xff\xd8", "webp": b"RIFF"}
    for format, start in starts.items():
        assert encode(Figure("x", "", RED), Look(format=format)).startswith(start)


def test_bytes_pass_through() -> None:
    assert encode(Figure("html", ".html", data=b"<p>"), Look()) == b"<p>"


def test_unknown_format() -> None:
    with pytest.raises(UnknownName) as caught:
        encode(Figure("x", "", RED), Look(format="tif"))
    assert caught.value.message == "no format 'tif'"
    assert "png" in caught.value.hint


@pytest.mark.parametrize(("format", "width"), [("webp", 17000), ("jpg", 70000)])
def test_too_large_for_the_format(format: str, width: int) -> None:
    with pytest.raises(RequestError) as caught:
        encode(Figure("x", "", np.zeros((1, width, 3), np.uint8)), Look(format=format))
    assert f"{width}×1 pixels" in caught.value.message
    assert "png" in caught.value.hint


def test_an_empty_artifact_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="neither"):
        encode(Figure("x", ""), Look())


def test_photographs_are_coded_faster_and_figures_smaller() -> None:
    """Which strategy is right is decided by the pixels: run lengths pay where there is paper."""
    noise = np.random.default_rng(1).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    figure = np.full((300, 1200, 3), 255, np.uint8)
    figure[:, :100] = noise[:, :100]
    size = {name: len(encode(Figure("x", "", one), Look())) for name, one in (("photo", noise), ("figure", figure))}
    assert size["figure"] < noise[:, :100].nbytes * 1.1  # Huffman codes alone would take a bit for each white byte
    assert size["photo"] < noise.nbytes * 1.02
