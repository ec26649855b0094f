"""Images as Python callers have them: tensors, arrays, batches, datasets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import camviz
from camviz.errors import InputError
from camviz.io.notebook import as_images, iterate_images

GRAY = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (GRAY, 1),
        (np.zeros((5, 6, 3), np.uint8), 1),
        (np.zeros((2, 5, 6, 3), np.float32), 2),
        (torch.zeros(3, 5, 6), 1),
        (torch.zeros(1, 5, 6, dtype=torch.uint8), 1),
        (torch.zeros(4, 3, 5, 6), 4),
        (torch.zeros(2, 4, 5, 6).bfloat16(), 2),
        ([torch.zeros(3, 5, 6), np.zeros((5, 6, 3), np.uint8)], 2),
        (TensorDataset(torch.zeros(3, 3, 5, 6), torch.zeros(3)), 3),
        (DataLoader([(torch.zeros(3, 5, 6), 0)] * 3, batch_size=2), 3),
        (DataLoader([{"image": torch.zeros(3, 5, 6), "y": 0}] * 3, batch_size=2), 3),
        (iter([torch.zeros(3, 5, 6)]), 1),
    ],
)
def test_kinds(value, count):
    images = as_images(value)
    assert len(images) == count
    assert all(image.pixels.dtype == np.uint8 and image.pixels.shape[2] == 3 for image in images)


def test_floats_are_of_zero_to_one():
    [image] = as_images(torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 3))
    assert image.pixels[0, :, 0].tolist() == [0, 128, 255]
    assert image.note == ""


def test_sixteen_bits_say_how_they_were_scaled():
    assert "12 bits" in as_images(np.full((4, 4), 4095, np.uint16))[0].note


def test_a_loader_is_streamed():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield torch.zeros(3, 4, 4)

    next(iterate_images(items()))
    assert taken == [0]


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (torch.zeros(5, 4, 4), "5"),
        (torch.randn(3, 8, 8), "normalized=True"),
        (DataLoader([{"y": 0}]), "image"),
        (object(), "object"),
        (np.zeros((2, 2), complex), "complex"),
    ],
)
def test_what_is_no_image(value, word):
    with pytest.raises(InputError) as caught:
        as_images(value)
    assert word in caught.value.message + caught.value.hint


def test_normalized_tensors_are_the_input_as_they_are():
    model = camviz.load("demo")
    pixels = torch.rand(2, 3, 96, 96)
    mean, std = (torch.tensor(values)[:, None, None] for values in (model.preprocessing.mean, model.preprocessing.std))
    maps = camviz.explain(model, (pixels - mean) / std, normalized=True)
    assert len(maps) == 2
    assert np.abs(maps[0].image.pixels.transpose(2, 0, 1) / 255 - pixels[0].numpy()).max() < 0.003
    with torch.no_grad():
        expected = model.module((pixels - mean) / std).max(1).values
    assert [found.score for found in maps] == pytest.approx(expected.tolist(), abs=1e-4)
