"""Text fits, and is never cut by an edge."""

import numpy as np
import pytest

from camviz.render import text

NAMES = ["zebra", "layer4.2.conv3", "jÅgy|_", "虎斑猫", "Тигр", "W" * 60, "…", "‘fi’ 100%", "/\\", "a\nb\tc"]


@pytest.mark.parametrize("words", NAMES)
@pytest.mark.parametrize("size", [10, 14, 19, 28])
def test_the_ink_is_inside_the_line(words: str, size: int) -> None:
    """On a line with a wide rim the same ink is as wide and as high: nothing was cut off."""
    drawn = text.line(words, size)
    assert drawn.shape == (text.line_height(size), text.width(words, size), 3)
    ink = (drawn < 250).any(axis=2)
    assert ink.any()
    assert not ink[0].any()
    assert not ink[-1].any()
    assert text.width(words, size) >= ink.any(axis=0).nonzero()[0].max() + 1
    padded = text.line(f"  {words}  ", size)
    assert (padded < 250).any(axis=2).any(axis=0).sum() >= ink.any(axis=0).sum() - 1


@pytest.mark.parametrize("words", ["", " ", "\n", "\udcff broken", "\u200b"])
def test_odd_texts_draw(words: str) -> None:
    assert text.line(words, 14).shape[1] >= 1


def test_clean_is_one_line_of_letters() -> None:
    assert text.clean("a\nb\tc") == "a b c"
    assert text.clean("\udcff.png") == "?.png"
    assert text.clean("e\u0301") == "é"


def test_shortened_from_the_side_that_matters_least() -> None:
    name = "features.denseblock4.denselayer16.conv2"
    room = text.width(name, 14) // 2
    left, middle = text.shorten(name, 14, room, "left"), text.shorten(name, 14, room)
    assert left.startswith("…")
    assert name.endswith(left[1:])
    head, tail = middle.split("…")
    assert name.startswith(head)
    assert name.endswith(tail)
    assert min(len(head), len(tail)) > 3


def test_shortened_as_little_as_possible() -> None:
    name = "features.denseblock4.denselayer16.conv2"
    for room in range(0, text.width(name, 14) + 20, 7):
        for side in ("left", "middle"):
            short = text.shorten(name, 14, room, side)  # type: ignore[arg-type]
            assert text.width(short, 14) <= room or short == ""
            if short != name and short:
                assert text.width("m" * 2, 14) + text.width(short, 14) > room - 12
    assert text.shorten(name, 14, text.width(name, 14)) == name
    assert text.shorten(name, 14, 3) == ""


def test_facts_flow_over_lines_in_order() -> None:
    parts = ["gradcam", "layer4", "resnet50", "max 3.4"]
    assert text.flow(parts, 14, 10_000) == ["gradcam · layer4 · resnet50 · max 3.4"]
    room = text.width("gradcam · layer4", 14)
    assert text.flow(parts, 14, room) == ["gradcam · layer4", "resnet50", "max 3.4"][:1] + text.flow(
        parts[2:], 14, room
    )
    assert all(text.width(line, 14) <= room for line in text.flow(parts, 14, room))
    assert text.flow(["x" * 200, "b"], 14, 100)[0].startswith("…")
    told = "of two images one patch each, the strongest first"
    assert len(text.flow([told], 14, 150)) > 1
    assert " ".join(text.flow([told], 14, 150)) == told


def test_a_headline_keeps_its_last_parts() -> None:
    words = text.headline(["cash machine, automated teller machine " * 4, "93.1%"], 16, 300)
    assert words.endswith(" · 93.1%")
    assert words.startswith("cash machine")
    assert text.width(words, 16) <= 300
    assert text.headline(["zebra"], 16, 300) == "zebra"


def test_letters_choose_the_font(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first font that has all letters; the one with most when none has; the default when none is better."""
    has = {"": set("ab"), "one": set("甲"), "two": set("甲乙b")}
    monkeypatch.setattr(text, "_SYSTEM_FONTS", ("one", "two"))
    monkeypatch.setattr(text, "_has", lambda name, letter: letter in has[name])
    choose = text._font_name.__wrapped__
    assert choose(frozenset("ab")) == ""
    assert choose(frozenset("甲")) == "one"
    assert choose(frozenset("甲乙")) == "two"
    assert choose(frozenset("甲b丙")) == "two"
    assert choose(frozenset("丙")) == ""


def test_the_default_font_knows_what_it_lacks() -> None:
    assert all(text._has("", letter) for letter in "azAZ09…·%() ")
    assert not any(text._has("", letter) for letter in "虎Жé")
    assert not text._has("no such font.ttf", "a")


def test_without_system_fonts_chinese_still_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_SYSTEM_FONTS", ())
    monkeypatch.setattr(text, "_font_name", text._font_name.__wrapped__)
    assert (text.line("虎斑猫", 14) < 128).any()
    assert text.font_for("虎斑猫", 14) is text.font_for("cat", 14)


def test_line_color_is_on_paper() -> None:
    drawn = text.line("HHH", 20, (200, 0, 0)).reshape(-1, 3).astype(int)
    assert (drawn[drawn[:, 1] < 10][0] == [200, 0, 0]).all()
    assert (np.bincount(drawn[:, 0], minlength=256)[255]) > len(drawn) // 3
