"""Further arguments of a forward: second images, arrays and numbers, for all images or for each."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import camviz
from camviz.errors import InputError, RequestError
from camviz.models.extra_inputs import with_inputs

NET = """
import torch
from torch import nn

class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3), nn.Linear(16, 3)
    def forward(self, before, after):
        parts = [self.first(before).relu().mean((2, 3)), self.second(after).relu().mean((2, 3))]
        return self.head(torch.cat(parts, 1))

class Meta(Pair):
    def forward(self, meta, image, scale=1):
        features = self.first(image).relu().mean((2, 3))
        return self.head(torch.cat([features, meta.expand(-1, 8)], 1)) * scale
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with net.py, images 0.png and 1.png, and another image for each in after/."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "after").mkdir()
    generator = np.random.default_rng(0)
    for number in range(2):
        for path in (f"{number}.png", f"after/{number}.bmp"):
            Image.fromarray(generator.integers(0, 256, (40, 50, 3), np.uint8)).save(path)
    np.save("meta.npy", np.array([0.5]))
    np.savez("meta.npz", **{"0": np.array([0.5]), "1": np.array([3.0])})
    return tmp_path


def score(image, name, **inputs):
    return camviz.explain(camviz.load(f"net.py:{name}", input_size=(32, 32), inputs=inputs), image, target=0)[0].score


def expected(image, after):
    model = camviz.load("net.py:Pair", input_size=(32, 32))
    how = model.preprocessing
    both = [torch.from_numpy(camviz.models.preprocess.prepare(read(path), how)[0][None]) for path in (image, after)]
    return float(model.module(*both)[0, 0].detach())


def read(path):
    from pathlib import Path

    from camviz.io.images import read_image

    return read_image(Path(path))


def test_a_second_image_is_preprocessed_as_the_first(project):
    for after in ("after/0.bmp", "after/1.bmp"):
        assert score("0.png", "Pair", after=after) == pytest.approx(expected("0.png", after), abs=1e-5)


def test_a_folder_has_a_file_for_each_image(project, run):
    typed = ["-m", "net.py:Pair", "--input-size", "32", "-t", "0", "--input", "after=after", "--json"]
    result = run("heatmap", "0.png", "1.png", *typed)
    assert result.exit_code == 0, result.stderr
    for row in map(json.loads, result.stdout.splitlines()):
        number = row["input"][0]
        assert row["score"] == pytest.approx(expected(f"{number}.png", f"after/{number}.bmp"), abs=1e-5)


def test_an_image_without_its_file_fails_alone(project, run):
    (project / "after" / "1.bmp").unlink()
    result = run("heatmap", "0.png", "1.png", "-m", "net.py:Pair", "--input-size", "32", "--input", "after=after")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert "no input 'after' for '1.png'" in result.stderr


def test_arrays_numbers_and_functions_are_equal(project):
    values = ["meta.npy", "meta.npz", "[0.5]", np.array([0.5]), torch.tensor([0.5]), [0.5], lambda image: [0.5]]
    scores = [score("0.png", "Meta", meta=value) for value in values]
    assert scores == pytest.approx([scores[0]] * len(values))
    assert score("1.png", "Meta", meta="meta.npz") == pytest.approx(score("1.png", "Meta", meta=[3.0]))
    assert score("0.png", "Meta", meta=[0.5], scale=2) == pytest.approx(2 * scores[0])


def test_a_function_of_the_file_takes_inputs_by_name(project):
    (project / "net.py").write_text(NET + "\ndef inputs(batch, meta): return {'image': batch, 'meta': 2 * meta}\n")
    doubled = score("0.png", "Meta", meta=[0.5])
    (project / "net.py").write_text(NET)
    assert doubled == pytest.approx(score("0.png", "Meta", meta=[1.0]))


@pytest.mark.parametrize(
    ("typed", "named"),
    [("after=none.png", "none.png"), ("aftr=0.png", "aftr"), ("after", "after"), ("after=net.py", "net.py")],
)
def test_a_wrong_input_is_refused(project, run, typed, named):
    result = run("heatmap", "0.png", "-m", "net.py:Pair", "--input-size", "32", "--input", typed)
    assert result.exit_code == 2
    assert f"'{named}'" in result.stderr or f"{named}:" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["features", "0.png", "1.png", "--layer", "first"],
        ["evaluate", "0.png", "1.png", "--forwards", "4", "--metric", "deletion", "-o", "table"],
        ["compare", "0.png", "1.png", "--method", "gradcam,hirescam"],
        ["patches", "0.png", "1.png", "--layer", "first"],
        ["reconstruct", "0.png", "1.png", "--layer", "first", "--steps", "4"],
        ["doctor", "0.png", "1.png"],
    ],
)
def test_every_command_over_images_takes_them(project, run, command):
    result = run(*command, "-m", "net.py:Pair", "--input-size", "32", "--input", "after=after")
    assert result.exit_code == 0, result.stderr


def test_other_contents_of_a_second_image_are_another_job(project, run):
    typed = ["heatmap", "0.png", "-m", "net.py:Pair", "--input-size", "32", "--input", "after=after/0.bmp"]
    assert run(*typed).stdout
    assert not run(*typed).stdout
    Image.new("RGB", (50, 40)).save("after/0.bmp")
    assert run(*typed).stdout


def test_python_raises_for_an_image_without_a_value(project):
    model = camviz.load("net.py:Meta", input_size=(32, 32), inputs={"meta": {"0.png": [0.5]}})
    assert camviz.explain(model, "0.png")
    with pytest.raises(InputError, match=r"'1\.png'"):
        camviz.explain(model, "1.png")
    with pytest.raises(RequestError, match="nothing"):
        camviz.load(nn.Sequential(nn.Conv2d(3, 4, 3)), inputs={"nothing": 1})


def test_a_tensor_file_is_checked_like_a_checkpoint(tmp_path):
    (tmp_path / "pair.py").write_text(NET)
    model = camviz.load(f"{tmp_path / 'pair.py'}:Pair")
    torch.save({"a": bytearray(b"of any size")}, tmp_path / "meta.pt")
    with pytest.raises(InputError, match=r"meta\.pt.*bytearray"):
        with_inputs(model, {"after": str(tmp_path / "meta.pt")})


SIAMESE = """
import torch
from torch import nn

class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), nn.Linear(8, 3)
    def forward(self, before, after):
        return self.head((self.conv(before) * 2 - self.conv(after)).mean((2, 3)))
"""


def test_the_map_of_a_shared_encoder_is_that_of_the_image(project):
    (project / "net.py").write_text(SIAMESE)
    model = camviz.load("net.py:Siamese", input_size=(32, 32), inputs={"after": "after/0.bmp"})
    [first] = camviz.explain(model, "0.png", target=0)
    swapped = camviz.load("net.py:Siamese", input_size=(32, 32), inputs={"before": "after/0.bmp"})
    [second] = camviz.explain(swapped, "0.png", target=0)
    features = camviz.features(model, "0.png", layer="conv").values
    weights = model.module.head.weight[0].detach().numpy()
    expected = np.tensordot(weights, features, 1) * 2 / features[0].size
    np.testing.assert_allclose(first.values, expected, atol=1e-6)
    np.testing.assert_allclose(second.values, -expected / 2, atol=1e-6)
