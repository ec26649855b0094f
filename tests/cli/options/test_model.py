"""The request of the options of a model."""

from __future__ import annotations

import pytest

from camviz.cli.options import ModelOptions
from camviz.errors import UnknownName
from camviz.types import ModelRequest


def test_without_options_the_request_is_the_default_one():
    assert ModelOptions().request() == ModelRequest("demo")
    assert ModelOptions().request(images=True) == ModelRequest("mobilenet_v3_large")
    assert ModelOptions(model="resnet18").request(images=True) == ModelRequest("resnet18")


def test_texts_become_values():
    typed = ModelOptions(
        model="net.py:Net",
        model_args=["depth=20", "width=1.5"],
        input_size="320x224",
        mean="0.5,0.25,0",
        range="-1,1",
        window="0,4095",
        task="Multi-Label",
    )
    request = typed.request()
    assert request.arguments == (("depth", "20"), ("width", "1.5"))
    assert (request.input_size, request.mean, request.std) == ((320, 224), (0.5, 0.25, 0.0), None)
    assert (request.range, request.window) == ((-1.0, 1.0), (0.0, 4095.0))
    assert request.task == "multilabel"


def test_a_task_that_does_not_exist():
    with pytest.raises(UnknownName, match="'classify'"):
        ModelOptions(task="classify").request()
