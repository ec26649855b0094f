"""The table of architectures by the shapes of their tensors."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torchvision import models

from camviz.models.recognize import shapes_of
from camviz.models.signatures.table import Head, digest_shapes, pack, table
from tools.signatures.make import from_timm, from_torchvision

SOME = ["resnet18", "vit_b_32", "inception_v3", "regnet_y_400mf"]


def shapes(name: str, **arguments) -> dict[str, tuple[int, ...]]:
    """Of a torchvision model, built without memory."""
    with torch.device("meta"):
        return shapes_of(models.get_model(name, weights=None, **arguments).state_dict())


def test_a_few_rows_made_anew_are_those_of_the_table():
    made = list(from_torchvision(SOME))
    assert len(made) == 5  # inception_v3 with and without its auxiliary head
    for row in made:
        assert row in table().rows


def test_rows_of_timm_made_anew_are_those_of_the_table():
    timm = pytest.importorskip("timm", reason="timm is not installed")
    if timm.__version__ != table().made["timm"]:
        pytest.skip("another timm than the table was made with")
    for row in from_timm(["resnet18", "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"]):
        assert row in table().rows


def test_every_classifier_of_torchvision_is_in_the_table():
    names = {row.name for row in table().rows if row.source == "torchvision"}
    assert set(models.list_models(module=models)) <= names
    assert {name for name in models.list_models() if not name.startswith("quantized_")} == names


def test_the_table_is_small_and_read_quickly_and_without_torch():
    code = (
        "import sys, time; start = time.process_time()\n"
        "from camviz.models.recognize import recognize\n"
        "found = recognize({'a.weight': (3, 3)})\n"
        "print(found, 'torch' in sys.modules, time.process_time() - start < 0.5)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "False", "True"]
    assert len(pack(table().rows, table().made)) < 300_000


def test_packing_is_repeatable():
    assert pack(table().rows, table().made) == pack(reversed(table().rows), table().made)


def test_a_digest_leaves_out_what_may_vary():
    head, inputs = Head(("fc.weight",), "fc.weight"), ("conv.weight",)
    one = {"conv.weight": (8, 3, 3, 3), "bn.num_batches_tracked": (), "fc.weight": (10, 8)}
    other = {"fc.weight": (5, 8), "conv.weight": (8, 1, 3, 3)}
    assert digest_shapes(one, head, inputs) == digest_shapes(other, head, inputs)
    assert digest_shapes(one, head, ()) != digest_shapes(other, head, ())
    assert digest_shapes(one, head, inputs) != digest_shapes(other | {"conv.weight": (8, 3, 5, 5)}, head, inputs)
