"""Image processors of transformers: what is measured is what they do."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PILImage

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from camviz.errors import ModelError  # noqa: E402
from camviz.models.image_processors import measured  # noqa: E402
from camviz.models.preprocess import prepare  # noqa: E402
from camviz.types import Image, Preprocessing  # noqa: E402

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5,) * 3, (0.5,) * 3
BARE = (0.0,) * 3, (1.0,) * 3

CASES = [
    # squashed to a size
    ("ViTImageProcessor", {}, Preprocessing((224, 224), None, *HALF)),
    ("SegformerImageProcessor", {}, Preprocessing((512, 512), None, *IMAGENET)),
    ("ViTImageProcessor", {"size": {"height": 64, "width": 96}}, Preprocessing((64, 96), None, *HALF)),
    # squashed, then cropped
    ("DeiTImageProcessor", {}, Preprocessing((224, 224), (256, 256), *HALF, "bicubic")),
    # short side and crop
    ("MobileNetV2ImageProcessor", {}, Preprocessing((224, 224), 256, *HALF)),
    # short side 256/224 of what the settings say
    ("LevitImageProcessor", {}, Preprocessing((224, 224), 256, *IMAGENET, "bicubic")),
    # a crop percentage below 384, none from there
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 224}}, Preprocessing((224, 224), 256, *HALF, "bicubic")),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}, Preprocessing((384, 384), None, *HALF, "bicubic")),
    # no normalization, and none of the scaling either
    ("ViTImageProcessor", {"do_normalize": False}, Preprocessing((224, 224), None, *BARE)),
    # other channel order; a crop larger than the image
    ("MobileViTImageProcessor", {}, Preprocessing((256, 256), 224, *BARE, "bicubic", order="bgr")),
    # normalized twice
    (
        "EfficientNetImageProcessor",
        {"size": {"height": 64, "width": 64}},
        Preprocessing((64, 64), None, (0.5,) * 3, (0.25,) * 3, "bicubic"),
    ),
    # the whole image at its aspect ratio
    ("DetrImageProcessor", {}, Preprocessing((800, 800), 800, *IMAGENET, longest=1333)),
    ("RTDetrImageProcessor", {}, Preprocessing((640, 640), None, *BARE)),
]


@pytest.mark.parametrize(("name", "settings", "expected"), CASES)
def test_what_a_processor_does(name, settings, expected):
    assert measured(getattr(transformers, name)(**settings), "hf:x") == expected


@pytest.mark.parametrize(("name", "settings"), [(name, settings) for name, settings, _ in CASES])
def test_a_prepared_image_is_the_processors(name, settings, pixels):
    """Bar rounding to eight bits, in which two libraries' resizing differs by up to two levels."""
    processor = getattr(transformers, name)(**settings)
    how = measured(processor, "hf:x")
    smooth = PILImage.fromarray(pixels(16, 10)).resize((320, 200), PILImage.Resampling.BICUBIC)
    expected = np.asarray(processor(images=smooth, return_tensors="np")["pixel_values"][0])
    found, _ = prepare(Image(np.asarray(smooth)), how)
    assert found.shape == expected.shape
    levels = np.abs(found - expected) * np.array(how.std)[:, None, None] * 255
    assert levels.max() < 2.5
    assert levels.mean() < 0.2


def test_the_scale_of_a_processor_is_respected(pixels):
    """rescale_factor 1/127.5 without a mean: from 0 to 2."""
    processor = transformers.ViTImageProcessor(rescale_factor=1 / 127.5, do_normalize=False)
    how = measured(processor, "hf:x")
    assert how.std == (0.5, 0.5, 0.5)
    assert how.mean == (0.0, 0.0, 0.0)


def test_what_cannot_be_followed_is_refused():
    class Gray:
        def __call__(self, images, return_tensors):
            values = np.asarray(images, np.float32).mean(2) / 255
            return {"pixel_values": [np.stack([values] * 3)]}

    class Broken:
        def __call__(self, images, return_tensors):
            raise ValueError("no such thing\nand more")

    with pytest.raises(ModelError, match="mixes colors"):
        measured(Gray(), "hf:x")
    with pytest.raises(ModelError, match=r"'hf:x' fails: no such thing$"):
        measured(Broken(), "hf:x")
