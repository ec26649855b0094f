"""A short training run learns something and writes a file that loads."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from camviz.demo.model import KINDS, blank
from tools.demo.scenes import Place, compose
from tools.demo.train import SHARPNESS, Average, Scenes, Settings, losses, pace, shares, train

QUICK = Settings(steps=5, batch=8, workers=0)


def test_a_few_steps_write_weights_that_load(tmp_path):
    path = tmp_path / "short.safetensors"
    history = train(QUICK, path)
    assert len(history) == 5
    assert np.isfinite(history).all()
    model = blank()
    before = model.classifier[1].weight.clone()
    model.load_state_dict(load_file(path))
    assert not torch.equal(model.classifier[1].weight, before)
    assert model.eval()(torch.zeros(1, 3, 64, 64)).isfinite().all()


def test_the_loss_can_be_learned():
    """Steps on one batch alone bring its loss down, and its logits to the right kinds."""
    torch.manual_seed(0)
    batch, model = next(iter(Scenes(QUICK))), blank().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    history = []
    for _ in range(25):
        features = model.features((batch.images - 128.0) / 64)
        loss, logits = losses(model, features, batch, 1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.5 * history[0]
    assert (logits.argmax(1) == batch.labels).float().mean() > 0.7


def test_the_loss_of_no_opinion():
    """Without evidence: a tenth for the right kind, twice, and a half for every cell, five times."""
    batch, model = next(iter(Scenes(QUICK))), blank()
    torch.nn.init.zeros_(model.classifier[1].bias)
    features = torch.zeros(8, model.classifier[1].in_features, *batch.shares.shape[2:])
    loss, _ = losses(model, features, batch, 1.0)
    assert loss.item() == pytest.approx(2 * np.log(10) + 5 * np.log(2), rel=1e-4)


def test_the_limit_in_minutes_ends_the_run(tmp_path):
    history = train(dataclasses.replace(QUICK, steps=1000, minutes=1e-3), tmp_path / "none.safetensors")
    assert len(history) < 10


def test_a_seed_gives_the_same_scenes():
    first, second = (next(iter(Scenes(QUICK))) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.labels, second.labels)
    other = next(iter(Scenes(dataclasses.replace(QUICK, seed=2))))
    assert other.images.shape != first.images.shape or not torch.equal(other.images, first.images)


def test_a_variation_moves_image_and_shares_together():
    batch = next(iter(Scenes(QUICK)))
    shapes = set()
    for seed in range(8):
        varied = batch.varied(np.random.default_rng(seed))
        shapes.add(tuple(varied.images.shape))
        assert varied.shares.shape[2:] == tuple(side // 8 for side in varied.images.shape[2:])
        # put the varied shares back by trying all eight ways: the image must follow the same one
        for transpose in (False, True):
            for axes in ([], [2], [3], [2, 3]):
                back = [value.transpose(2, 3) if transpose else value for value in (varied.shares, varied.images)]
                moved, image = (value.flip(axes) for value in back)
                if moved.shape == batch.shares.shape and torch.equal(moved, batch.shares):
                    gray = batch.images.float().sum(1)
                    same = [torch.equal(p.float().sum(1), gray) for p in (image, 255 - image)]
                    assert any(same)
    assert len(shapes) == (2 if batch.images.shape[2] != batch.images.shape[3] else 1)


def test_shares_count_covered_pixels():
    # a square of 16 pixels from (16, 8) to (32, 24) fills the cells of columns 2, 3 and rows 1, 2
    place = Place("square", 24, 16, 8 * 2**0.5, np.pi / 4)
    scene = compose(np.random.default_rng(0), 64, 48, [place])
    cells = shares(scene)
    assert cells.shape == (len(KINDS), 6, 8)
    expected = np.zeros_like(cells)
    expected[KINDS.index("square"), 1:3, 2:4] = 1
    assert np.array_equal(cells, expected)


def test_the_average_follows_slowly_and_is_written_sharpened(tmp_path):
    model = torch.nn.Sequential()
    model.classifier = torch.nn.Linear(1, 1)
    with torch.no_grad():
        model.classifier.weight.fill_(1.0)
    average = Average(model)
    with torch.no_grad():
        model.classifier.weight.fill_(12.0)
    average.update()  # the first step keeps 1 / 11 of the old value: 1/11 + 12 · 10/11 = 11
    average.save(tmp_path / "mean.safetensors")
    weight = load_file(tmp_path / "mean.safetensors")["classifier.weight"]
    assert weight.item() == pytest.approx(11 * SHARPNESS)


def test_the_rate_rises_then_falls():
    assert pace(0) < 0.01
    assert pace(0.05) > 0.98
    assert pace(0.5) == pytest.approx(0.501)
    assert pace(1) < 0.01
