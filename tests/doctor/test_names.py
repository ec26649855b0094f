"""Class names in another order than the classes."""

from __future__ import annotations

from pathlib import Path

from camviz.doctor import diagnose
from camviz.models.catalog import imagenet_labels
from camviz.types import Image, Model, Preprocessing
from tests.helpers.sick_models import SAMPLES, Small, Sure, names, shade


def test_names_in_another_order():
    known = imagenet_labels()
    model = Model("net", Small(1000), Preprocessing((64, 64), 64), known[1:] + known[:1], "classification")
    found = diagnose(model, SAMPLES)
    assert "labels" in names(found)
    assert "1000 of them out of place" in str(found)
    assert "labels" not in names(diagnose(Model("net", Small(1000), Preprocessing((64, 64), 64), known), SAMPLES))


def test_names_against_what_the_images_are_called(tmp_path: Path):
    called = [f"thing {letter}" for letter in "abcdefghij"]
    shown = [
        Image(shade(round(25.5 * i)), tmp_path / f"{name.replace(' ', '_')}_001.jpg") for i, name in enumerate(called)
    ]
    how = Preprocessing((64, 64), 64, (0.0,) * 3, (1.0,) * 3)
    right = Model("net", Sure(), how, tuple(called))
    assert "labels" not in names(diagnose(right, shown, method="gradient"))
    wrong = Model("net", Sure(), how, tuple(called[5:] + called[:5]))  # each is outside the likeliest five, or nearly
    found = diagnose(wrong, shown, method="gradient")
    assert "labels" in names(found), str(found)
    assert "10 images have a class name in their path" in str(found)
