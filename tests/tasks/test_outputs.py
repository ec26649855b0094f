"""The meaning of an output in words and as JSON."""

from __future__ import annotations

import pytest

from camviz.tasks.outputs import Ending, Output

FOUND = {"task": "from the graph", "activation": "from the values", "part": "given"}


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (Output("", "classification", Ending("softmax"), 5), "softmax probabilities of 5 classes"),
        (Output("", "classification", classes=5), "logits of 5 classes"),
        (Output("", "regression", classes=3), "values of 3 values"),
        (Output("", "embedding"), "an embedding"),
        (Output("", "detection"), "boxes"),
    ],
)
def test_an_output_in_words(output, words):
    assert f": {words} (" in str(output)


def test_each_part_has_where_it_is_from():
    output = Output("logits", "classification", Ending("sigmoid"), 2, sources=FOUND)
    assert str(output).startswith("part 'logits' (given), classification (from the graph): sigmoid")
    assert str(output).endswith("(from the values)")
    facts = output.facts()
    assert (facts["key"], facts["activation"], facts["classes"], facts["sources"]) == ("logits", "sigmoid", 2, FOUND)
    assert Output().facts()["activation"] == "none"
