"""Reading images. Every file is made here; none is an asset."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PILImage

from camviz.errors import InputError
from camviz.io.images import read_image
from camviz.io.notebook import as_images
from camviz.io.opening import SUFFIXES
from camviz.types import Image

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def corner(path: Path) -> tuple[int, ...]:
    return tuple(int(value) for value in read_image(path).pixels[0, 0])


def near(found: tuple[int, ...], wanted: tuple[int, ...], by: int = 2) -> bool:
    return max(abs(int(a) - b) for a, b in zip(found, wanted, strict=True)) <= by


# what is no image


def html(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><body>404</body></html>")


def text(path: Path) -> None:
    path.write_text("these are my notes\nnothing else\n")


def pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")


def empty(path: Path) -> None:
    path.touch()


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(128, 256)) * 20)


def truncated(path: Path) -> None:
    PILImage.fromarray(np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def bomb(path: Path) -> None:
    def chunk(data: bytes) -> bytes:
        return struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))

    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(header) + chunk(b"IDAT" + zlib.compress(b"")) + chunk(b"IEND"))


@pytest.mark.parametrize(
    ("name", "make", "says", "advises"),
    [
        ("page.png", html, "is not an image (it is a web page)", "content"),
        ("notes.jpg", text, "is not an image (it is text)", "content"),
        ("big.jpg", pointer, "git lfs pull", "content"),
        ("nothing.jpg", empty, "is empty (0 bytes)", "again"),
        ("noise.jpg", noise, "is not an image", "content"),
        ("half.jpg", truncated, "is damaged: ", "again"),
        ("bomb.png", bomb, "is too large", "shrink"),
    ],
)
def test_what_is_no_image_says_why(tmp_path, name, make, says, advises):
    make(tmp_path / name)
    with pytest.raises(InputError) as caught:
        read_image(tmp_path / name)
    assert str(tmp_path / name) in caught.value.message
    assert says in caught.value.message
    assert advises in caught.value.hint


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(InputError, match="is a folder"):
        read_image(tmp_path)
    (tmp_path / "link.jpg").symlink_to(tmp_path / "gone.jpg")
    with pytest.raises(InputError, match="no file"):
        read_image(tmp_path / "link.jpg")


def test_a_file_that_may_not_be_read(tmp_path, write_image, monkeypatch):
    path = write_image(tmp_path / "a.png")

    def forbid(*_, **_formats):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(PILImage, "open", forbid)
    with pytest.raises(InputError, match="may not be read") as caught:
        read_image(path)
    assert caught.value.hint.startswith("chmod")


# modes


def test_rgb_is_read_exactly_with_its_path(tmp_path, pixels):
    PILImage.fromarray(pixels()).save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png")
    assert np.array_equal(found.pixels, pixels())
    assert (found.path, found.name) == (tmp_path / "a.png", "a.png")
    assert (found.width, found.height) == (40, 32)


def test_one_pixel(tmp_path):
    PILImage.new("RGB", (1, 1), RED).save(tmp_path / "dot.png")
    assert read_image(tmp_path / "dot.png").pixels.tolist() == [[list(RED)]]


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "gif", "ppm", "webp", "jpg"])
def test_pure_red_stays_red(tmp_path, suffix):
    PILImage.new("RGB", (16, 16), RED).save(tmp_path / f"red.{suffix}")
    assert near(corner(tmp_path / f"red.{suffix}"), RED)


def test_the_content_decides_not_the_name(tmp_path):
    PILImage.new("RGB", (4, 4), RED).save(tmp_path / "a.jpg", "PNG")
    assert corner(tmp_path / "a.jpg") == RED


def test_cmyk_jpeg(tmp_path):
    PILImage.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    red, green, blue = corner(tmp_path / "a.jpg")
    assert red > 200
    assert max(green, blue) < 60


def test_a_dark_16_bit_image_stays_dark(tmp_path):
    PILImage.fromarray(np.array([[0, 257, 25700]], np.uint16)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").pixels[0, :, 0].tolist() == [0, 1, 100]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_16_bit_ramp_becomes_the_8_bit_ramp(tmp_path, suffix):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    PILImage.fromarray(ramp).save(tmp_path / f"ramp.{suffix}")
    found = read_image(tmp_path / f"ramp.{suffix}").pixels
    assert np.array_equal(found, np.arange(256, dtype=np.uint8)[None, :, None].repeat(4, 0).repeat(3, 2))


def test_16_bit_rgb(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)
    rgb = np.stack([ramp, ramp[::-1], np.zeros_like(ramp)], -1)[None]
    assert cv2.imwrite(str(tmp_path / "a.png"), rgb[:, :, ::-1])
    found = read_image(tmp_path / "a.png").pixels.astype(int)
    assert np.abs(found - rgb / 257).max() <= 1


def test_32_bit_and_float_grays(tmp_path):
    PILImage.fromarray(np.array([[0, 32768, 65535]], np.int32)).save(tmp_path / "i.tif")
    PILImage.fromarray(np.array([[0, 0.5, 1]], np.float32)).save(tmp_path / "f.tif")
    for name in ("i.tif", "f.tif"):
        assert read_image(tmp_path / name).pixels[0, :, 0].tolist() == [0, 128, 255]


def test_grayscale_and_one_bit(tmp_path):
    PILImage.fromarray(np.array([[0, 100, 255]], np.uint8)).save(tmp_path / "l.png")
    PILImage.fromarray(np.array([[False, True]])).save(tmp_path / "1.png")
    assert read_image(tmp_path / "l.png").pixels.tolist() == [[[0] * 3, [100] * 3, [255] * 3]]
    assert read_image(tmp_path / "1.png").pixels.tolist() == [[[0] * 3, [255] * 3]]


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("RGBA", (*RED, 255), RED),
        ("RGBA", (*RED, 0), WHITE),
        ("RGBA", (*RED, 128), (255, 127, 127)),
        ("LA", (0, 128), (127, 127, 127)),
    ],
)
def test_transparency_is_laid_on_white(tmp_path, mode, color, expected):
    PILImage.new(mode, (4, 4), color).save(tmp_path / "a.png")
    assert near(corner(tmp_path / "a.png"), expected)


def test_a_palette_with_alpha(tmp_path):
    image = PILImage.new("P", (2, 1))
    image.putpalette([*RED, *GREEN])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=bytes([0, 255]))
    assert read_image(tmp_path / "a.png").pixels.tolist() == [[list(WHITE), list(GREEN)]]


def test_a_transparent_color(tmp_path):
    image = PILImage.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), GREEN)
    image.save(tmp_path / "a.png", transparency=RED)
    assert read_image(tmp_path / "a.png").pixels.tolist() == [[list(WHITE), list(GREEN)]]


# orientation, frames, names


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels that a camera writes so that `orientation` makes them upright (EXIF 2.32, tag 274)."""
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_every_orientation_gives_the_same_upright_pixels(tmp_path, pixels, orientation, suffix):
    upright = pixels(7, 4)
    exif = PILImage.Exif()
    exif[0x0112] = orientation
    image = PILImage.fromarray(np.ascontiguousarray(stored(upright, orientation)))
    image.save(tmp_path / f"a.{suffix}", exif=exif, lossless=True)
    assert np.array_equal(read_image(tmp_path / f"a.{suffix}").pixels, upright)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_a_jpeg(tmp_path, orientation):
    upright = np.zeros((32, 64, 3), np.uint8)
    upright[:16, :16] = RED
    exif = PILImage.Exif()
    exif[0x0112] = orientation
    PILImage.fromarray(np.ascontiguousarray(stored(upright, orientation))).save(tmp_path / "a.jpg", exif=exif)
    found = read_image(tmp_path / "a.jpg").pixels
    assert found.shape == (32, 64, 3)
    assert near(tuple(found[8, 8]), RED, 8)
    assert near(tuple(found[24, 56]), (0, 0, 0), 8)


@pytest.mark.parametrize(("suffix", "settings"), [("gif", {}), ("png", {}), ("webp", {"lossless": True}), ("tif", {})])
def test_of_an_animation_the_first_frame(tmp_path, suffix, settings):
    first, second = PILImage.new("RGB", (8, 8), RED), PILImage.new("RGB", (8, 8), GREEN)
    first.save(tmp_path / f"a.{suffix}", save_all=True, append_images=[second], **settings)
    assert PILImage.open(tmp_path / f"a.{suffix}").n_frames == 2
    assert corner(tmp_path / f"a.{suffix}") == RED


def test_a_path_with_chinese_characters_and_spaces(tmp_path):
    path = tmp_path / "我的 图片" / "猫 一.png"
    path.parent.mkdir()
    PILImage.new("RGB", (4, 4), RED).save(path)
    assert corner(path) == RED


# from Python


def test_as_images_takes_one_or_several(tmp_path, pixels, write_image):
    path = write_image(tmp_path / "a.png")
    array, pil = pixels(), PILImage.fromarray(pixels())
    found = as_images([path, str(path), array, pil, Image(array)])
    assert all(np.array_equal(one.pixels, array) for one in found)
    assert len(as_images(path)) == 1
    assert as_images(array)[0].path is None


@pytest.mark.parametrize(
    "wrong", [np.zeros((3, 8, 8), np.uint8), np.zeros((8, 8, 3), complex), np.zeros((1, 1, 1, 8, 8), np.uint8), 7, None]
)
def test_what_python_gives_and_is_no_image(wrong):
    with pytest.raises(InputError, match="is not an image"):
        as_images(wrong)


def test_suffixes_are_lower_case_with_a_dot():
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in SUFFIXES)


# real files, when there are some


@pytest.mark.parametrize("folder", ["awkward", "exif_orientation"])
def test_awkward_files_are_read_or_refused_in_words(assets, folder, record_property):
    files = sorted((assets / "images" / folder).iterdir())
    assert files
    for file in files:
        try:
            found = read_image(file)
        except InputError as error:
            refused = error
        else:
            record_property(file.name, f"{found.width}×{found.height}")
            assert found.pixels.dtype == np.uint8
            assert found.pixels.shape[2:] == (3,)
            assert found.pixels.size > 0
            continue
        record_property(file.name, refused.message)
        assert str(file) in refused.message
        assert refused.hint


def test_real_orientations_agree(assets):
    folder = assets / "images" / "exif_orientation"
    small = [
        np.asarray(PILImage.fromarray(read_image(folder / f"Landscape_{i}.jpg").pixels).resize((60, 40)), float)
        for i in range(1, 9)
    ]
    assert all(np.abs(one - small[0]).mean() < 12 for one in small[1:])
