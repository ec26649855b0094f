"""Which class a target means, and how its score is read from a row of logits."""

from __future__ import annotations

import pytest
import torch

from camviz.errors import UnknownName
from camviz.models.catalog import imagenet_labels
from camviz.tasks.classification import TargetSpec, choose, find_class, label_of, parse_targets

PETS = ("tabby", "tiger cat", "Persian cat", "dog, hot", "hotdog", "crane", "crane", "cat fish vs bird", "catapult")


def parsed(*texts: str, labels=PETS) -> list[tuple[str, int | None, int | None, int | None]]:
    return [(w.facet, w.rank, w.index, w.minus) for w in parse_targets(texts, labels, "net")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("top1", [("top1", 0, None, None)]),
        ("TOP-2", [("top1", 0, None, None), ("top2", 1, None, None)]),
        ("top3", [("top1", 0, None, None), ("top2", 1, None, None), ("top3", 2, None, None)]),
        ("4", [("4", None, 4, None)]),
        ("tabby", [("tabby", None, 0, None)]),
        (" Tabby ", [("Tabby", None, 0, None)]),
        ("tiger cat", [("tiger-cat", None, 1, None)]),
        ("persian", [("persian", None, 2, None)]),
        ("catap", [("catap", None, 8, None)]),
        ("apult", [("apult", None, 8, None)]),
        ("tabby vs 4", [("tabby-vs-4", None, 0, 4)]),
        ("tabby vs. hotdog", [("tabby-vs.-hotdog", None, 0, 4)]),
        ("cat fish vs bird", [("cat-fish-vs-bird", None, 7, None)]),
        ("dog, hot", [("dog-hot", None, 3, None)]),
        ("tabby, 4,top1", [("tabby", None, 0, None), ("4", None, 4, None), ("top1", 0, None, None)]),
    ],
)
def test_what_a_target_means(text, expected):
    assert parsed(text) == expected


def test_an_exact_name_wins_over_names_that_hold_it():
    assert find_class("cat", ("catapult", "cat", "tom cat"), "net") == 1


def test_a_word_wins_over_a_prefix_and_a_prefix_over_a_part():
    assert find_class("cat", ("catapult", "tom cat"), "net") == 1
    assert find_class("cat", ("scatter", "catapult"), "net") == 1


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("cat", ["1 'tiger cat'", "2 'Persian cat'", "7 'cat fish vs bird'"]),
        ("crane", ["5 'crane'", "6 'crane'"]),
        ("tabby vs crane", ["5 'crane'"]),
    ],
)
def test_several_matching_classes_list_themselves(text, listed):
    with pytest.raises(UnknownName) as caught:
        parsed(text)
    assert " 2 classes" in caught.value.message or " 3 classes" in caught.value.message
    assert all(one in caught.value.message for one in listed)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("tabi", "no class 'tabi' in net", "did you mean 'tabby'?"),
        ("9", "no class 9 in net", "9 classes, 0 to 8"),
        ("-1", "no class '-1'", "'crane'"),
        ("²", "no class '²'", "'crane'"),
        ("top0", "no target 'top0'", "top1"),
        ("top10", "no target 'top10'", "top1"),
        ("", "class '' matches 9 classes", "full name"),
    ],
)
def test_a_class_that_does_not_exist(text, message, hint):
    with pytest.raises(UnknownName) as caught:
        parsed(text)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_without_names_only_numbers_and_ranks():
    assert parsed("7", "top2", labels=())[0] == ("7", None, 7, None)
    with pytest.raises(UnknownName, match="tabby") as caught:
        parsed("tabby", labels=())
    assert "--labels" in caught.value.hint


@pytest.mark.parametrize(
    "texts",
    [("dog, hot", "4", "dog_hot"), ("tiger cat", "tiger_cat", "tiger_cat-2"), ("a b", "a_b", "a?b", "a_b-2")],
)
def test_facets_are_distinct(texts):
    labels = ("dog, hot", "dog_hot", "tiger cat", "tiger_cat", "tiger_cat-2", "a b", "a_b", "a?b", "a_b-2")
    facets = [facet for facet, *_ in parsed(*texts, labels=labels)]
    assert len(set(facets)) == len(texts)
    assert all(set(facet).isdisjoint(" ,?/") for facet in facets)


def test_the_same_target_twice_is_one():
    assert len(parsed("top1", "top3", "top1")) == 3


# the names of ImageNet


def test_imagenet_names():
    labels = imagenet_labels()
    assert find_class("tabby", labels, "net") == 281
    assert find_class("tench", labels, "net") == 0
    assert labels[find_class("goldfinch", labels, "net")] == "goldfinch"
    with pytest.raises(UnknownName, match=r"'cat' .* \d+ classes of net: 282 'tiger cat', 283 'Persian cat'"):
        find_class("cat", labels, "net")
    with pytest.raises(UnknownName, match="no class 1000 in net"):
        find_class("1000", labels, "net")


# reading a score

ROW = torch.tensor([1.0, 4.0, 2.0, -1.0])


def test_the_likeliest_and_the_next():
    labels = ("a", "b", "c", "d")
    chosen = [choose(TargetSpec("x", rank=rank), ROW, labels) for rank in range(4)]
    assert [(one.label, one.index) for one in chosen] == [("b", 1), ("c", 2), ("a", 0), ("d", 3)]
    assert sum(one.probability for one in chosen) == pytest.approx(1)
    assert {one.facts["predicted"] for one in chosen} == {"b"}
    assert chosen[3].facts["confidence"] == pytest.approx(chosen[0].probability)


def test_logit_probability_and_difference():
    assert float(choose(TargetSpec("x", index=2), ROW, ()).read(ROW)) == 2
    assert float(choose(TargetSpec("x", index=2), ROW, (), "prob").read(ROW)) == pytest.approx(float(ROW.softmax(0)[2]))
    versus = choose(TargetSpec("x", index=1, minus=0), ROW, ("a", "b", "c", "d"))
    assert float(versus.read(ROW)) == 3
    assert versus.probability is None
    assert (versus.label, versus.index) == ("b vs a", 1)


def test_the_reader_keeps_the_gradient():
    row = ROW.clone().requires_grad_()
    choose(TargetSpec("x", index=1, minus=0), row, ()).read(row).backward()
    assert row.grad.tolist() == [-1, 1, 0, 0]


@pytest.mark.parametrize("chosen", [{"index": 4}, {"rank": 4}, {"index": 0, "minus": 9}])
def test_a_class_the_model_does_not_have(chosen):
    with pytest.raises(UnknownName) as caught:
        choose(TargetSpec("x", **chosen), ROW, (), name="net")
    assert caught.value.hint == "it has 4 classes, 0 to 3"


def test_label_of():
    assert label_of(1, ("a", "b")) == "b"
    assert label_of(7, ("a", "b")) == "class 7"
