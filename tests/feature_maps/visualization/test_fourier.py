"""Images as spectra: frequencies, scales, colors, total variation."""

from __future__ import annotations

import math

import pytest
import torch

from camviz.feature_maps.visualization.fourier import Spectrum, color_basis, falloff, radii, total_variation
from tests.helpers.inputs import seeded


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 9), (6, 10), (1, 4)])
def test_an_image_comes_back_from_its_spectrum(height, width):
    images = 0.05 + 0.9 * torch.rand(2, 3, height, width, generator=seeded())
    spectrum = Spectrum.of(3, height, width)
    torch.testing.assert_close(spectrum.paint(spectrum.analyze(images)), images, atol=1e-4, rtol=0)


def test_black_and_white_stay_near_black_and_white():
    ends = torch.tensor([0.0, 1.0]).repeat(8)[None, None, None].expand(1, 3, 16, 16)
    spectrum = Spectrum.of(3, 16, 16)
    assert (spectrum.paint(spectrum.analyze(ends)) - ends).abs().max() < 0.03


def test_frequencies_by_hand():
    half = math.sqrt(0.5)
    expected = [[0, 0.25, 0.5], [0.25, half / 2, math.sqrt(0.3125)], [0.5, math.sqrt(0.3125), half]]
    torch.testing.assert_close(radii(4, 4)[:3], torch.tensor(expected))


def test_the_scale_falls_as_one_over_f_and_the_mean_counts_as_the_slowest_wave():
    scale = falloff(16, 16)
    assert scale[0, 0] == scale[0, 1]
    assert float(scale[0, 1] / scale[0, 4]) == pytest.approx(4)


@pytest.mark.parametrize("width", [16, 15])
def test_noise_has_about_unit_variance_before_the_colors(width):
    spectrum = Spectrum(falloff(16, width), torch.eye(1), width)
    drawn = spectrum.paint(spectrum.noise(800, seeded())).logit()
    assert float(drawn.var()) == pytest.approx(1, abs=0.2)


def test_the_colors_are_light_red_against_blue_and_green_against_both():
    directions = color_basis(3) / color_basis(3).norm(dim=0)
    expected = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / torch.tensor([3, 2, 6]).sqrt()[:, None]
    torch.testing.assert_close(directions.T, expected, atol=1e-6, rtol=0)
    lengths = color_basis(3).norm(dim=0)
    torch.testing.assert_close(lengths / lengths[0], torch.tensor([1, 0.5, 0.25]))
    torch.testing.assert_close(color_basis(3) @ torch.linalg.inv(color_basis(3)), torch.eye(3), atol=1e-6, rtol=0)
    assert color_basis(1).tolist() == [[1]]


def test_total_variation_by_hand():
    assert total_variation(torch.tensor([[[[0.0, 1], [1, 3]]]])).tolist() == [2.5]
    assert total_variation(torch.full((2, 3, 4, 4), 0.7)).tolist() == [0, 0]


def test_waves_below_a_cut():
    spectrum = Spectrum.of(3, 16, 16)
    kept = spectrum.below(0.25, torch.ones(1, *spectrum.shape))[0, 0, :, :, 0]
    assert kept[0, 4] == 0.5  # at 4 / 16 cycles per pixel
    assert kept[0, 0] > 0.999
    assert kept[0, 8] < 0.001
    assert torch.equal(kept[4, 0], kept[0, 4])
