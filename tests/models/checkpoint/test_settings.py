"""Preprocessing and class names that a checkpoint stores."""

from __future__ import annotations

import argparse

import pytest

import camviz
from camviz.models.checkpoint.settings import stored_preprocessing
from camviz.types import Preprocessing


@pytest.mark.parametrize(
    "beside",
    [
        {"class_names": ["cat", "dog", "owl", "fox"]},
        {"classes": ("cat", "dog", "owl", "fox")},
        {"idx_to_class": {0: "cat", 1: "dog", 2: "owl", 3: "fox"}},
        {"class_to_idx": {"dog": 1, "cat": 0, "fox": 3, "owl": 2}},
        {"hyper_parameters": {"class_names": ["cat", "dog", "owl", "fox"]}},
        {"meta": {"classes": ["cat", "dog", "owl", "fox"]}},
        {"args": argparse.Namespace(class_names=["cat", "dog", "owl", "fox"])},
    ],
)
def test_class_names_are_applied_and_noted(net, net_file, save, beside):
    path = save({"state_dict": net(seed=5).state_dict(), **beside})
    model = camviz.load(f"{net_file}:Net", checkpoint=path)
    assert model.labels == ("cat", "dog", "owl", "fox")
    assert any("cat, dog, owl" in note for note in model.notes)
    assert model.sources["labels"] == "from the checkpoint"


@pytest.mark.parametrize("names", [["cat", "dog"], "cat", [1, 2, 3, 4], {"a": "b"}, {5: "a"}, {"²": "a"}])
def test_what_are_no_names_of_these_classes_is_left(net, net_file, save, names):
    path = save({"state_dict": net(seed=5).state_dict(), "class_names": names})
    assert camviz.load(f"{net_file}:Net", checkpoint=path).labels == ()


@pytest.mark.parametrize(
    ("settings", "crop", "resize", "mean"),
    [
        ({"input_size": [3, 192, 192], "crop_pct": 0.9}, (192, 192), 213, 0.485),
        ({"img_size": 128, "mean": [0.5] * 3, "std": [0.5] * 3}, (128, 128), 146, 0.5),
        ({"img_size": None, "mean": None, "std": None, "crop_pct": None}, (224, 224), 256, 0.485),
        ({"data": {"image_size": (96, 64), "mean": [127.5] * 3, "std": [127.5] * 3}}, (96, 64), 73, 0.5),
        ({"mean": [0.5] * 3}, (224, 224), 256, 0.485),
        ({"mean": "imagenet", "std": 3, "input_size": "large"}, (224, 224), 256, 0.485),
        ({"mean": [0.5] * 3, "std": [0.0] * 3, "input_size": [3, -1, 10**9]}, (224, 224), 256, 0.485),
    ],
)
def test_preprocessing_of_a_training_program(settings, crop, resize, mean):
    how, said = stored_preprocessing(settings, Preprocessing())
    assert (how.crop, how.resize, how.mean[0]) == (crop, resize, mean)
    assert bool(said) == (how != Preprocessing())


def test_stored_preprocessing_is_not_reported_as_assumed(net, net_file, save):
    path = save(
        {"state_dict": net(seed=5).state_dict(), "args": {"mean": [0.5] * 3, "std": [0.25] * 3, "img_size": 64}}
    )
    model = camviz.load(f"{net_file}:Net", checkpoint=path)
    assert (model.preprocessing.crop, model.preprocessing.std) == ((64, 64), (0.25,) * 3)
    assert model.sources["preprocessing"] == "from the checkpoint"
    assert not any("assumed" in note for note in model.notes)
