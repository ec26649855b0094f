"""The true class of an image, from its folder or from a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from camviz.errors import InputError, RequestError
from camviz.misclassified.truth import TrueLabels, class_named, read_table

LABELS = ("left", "right")


@pytest.mark.parametrize(
    ("text", "index"),
    [
        *[("tabby cat", 0), ("Tabby_Cat", 0), ("tabby-cat", 0), ("1", 1)],
        *[("lynx", 1), ("9", None), ("dog", None), ("cat", None)],
    ],
)
def test_names_of_classes(text, index):
    assert class_named(text, ("tabby cat", "lynx, catamount")) == index
    assert class_named("7", ()) == 7


def test_the_folder_names_the_true_class():
    truth = TrueLabels(LABELS)
    assert truth.index(Path("photos/right/1.png")) == 1
    with pytest.raises(InputError, match="no class 'up'"):
        truth.index(Path("photos/up/1.png"))


def test_a_table_names_the_true_class(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("label,size,image\nright,3,a.png\nleft,4,b.png\n")
    assert read_table(path) == {"a.png": "right", "b.png": "left"}
    path.write_text("image,of what\na.png,right\n")  # a head that is half known: the first two columns
    assert read_table(path)["a.png"] == "right"
    path.write_text("a.png,right\nsub/b.png,left\n")
    truth = TrueLabels(LABELS, read_table(path))
    assert truth.index(Path("x/a.png")) == 1
    assert truth.index(Path("sub/b.png")) == 0
    assert truth.index(Path("/photos/sub/b.png")) == 0
    with pytest.raises(InputError, match="not in the table"):
        truth.index(Path("c.png"))
    for text in ("", "only one column\n"):
        path.write_text(text)
        with pytest.raises(RequestError, match="table of labels"):
            read_table(path)
    with pytest.raises(RequestError, match="none\\.csv"):
        read_table(tmp_path / "none.csv")


@pytest.mark.parametrize("content", [b"a.png," + b"x" * 200_000, b"a.png,\xff\xfe", b'a.png,"' + b"x" * 140_000])
def test_a_table_of_another_form_is_refused(tmp_path, content):
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(RequestError, match=r"labels\.csv"):
        read_table(tmp_path / "labels.csv")


def test_a_number_of_any_length_is_no_class():
    assert class_named("9" * 5000, ()) is None
    assert class_named("²", ()) is None
