"""Class names from files."""

from __future__ import annotations

import pytest

from camviz.errors import RequestError
from camviz.models.labels import from_id2label, read_labels


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("cat\ndog\n", ("cat", "dog")),
        ("cat\r\ndog", ("cat", "dog")),
        ("\ufeffcat\ndog\n", ("cat", "dog")),
        ("cat, tabby \n dog\n\n", ("cat, tabby", "dog")),
        ("猫\n狗\n", ("猫", "狗")),
        ('["cat", "dog"]', ("cat", "dog")),
        ('{"0": "cat", "1": "dog"}', ("cat", "dog")),
        ('{"1": "dog", "0": "cat"}', ("cat", "dog")),
        ('{"2": "dog", "0": "cat"}', ("cat", "class 1", "dog")),
        ('{"cat": 0, "dog": 1}', ("cat", "dog")),
        ('{"dog": 1, "cat": 0}', ("cat", "dog")),
        ('{"0": ["n02123045", "tabby"], "1": ["n02123159", "tiger_cat"]}', ("tabby", "tiger_cat")),
    ],
)
def test_forms(tmp_path, content, expected):
    (tmp_path / "labels").write_text(content, "utf-8")
    assert read_labels(tmp_path / "labels") == expected


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"[]", "is empty"),
        (b"{}", "is empty"),
        (b'["cat", "dog"', "is not valid JSON"),
        (b"[1, 2]", "JSON"),
        (b'{"cat": "dog"}', "JSON"),
        (b'{"cat": -1}', "JSON"),
        ('{"²": "a"}'.encode(), "JSON"),
        (b'{"a": 1000000000000}', "1000000000000"),
        (b'{"1000000": "a"}', "1000000"),
        (b'{"a": ' + b"7" * 4000 + b"}", "4000 digits"),
        (b'{"a": ' + b"7" * 5000 + b"}", "is not valid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": true}', "JSON"),
        ("café".encode("latin-1"), "is not UTF-8"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "is not UTF-8"),
    ],
)
def test_faults(tmp_path, content, says):
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(RequestError) as caught:
        read_labels(path)
    assert says in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(RequestError, match="no labels file"):
        read_labels(tmp_path / "gone.txt")
    with pytest.raises(RequestError, match="is a folder"):
        read_labels(tmp_path)


def test_numbers_of_a_configuration_that_are_no_class_indices():
    assert from_id2label({"²": "a"}) == from_id2label({"9" * 5000: "a"}) == from_id2label({10**12: "a"}) == ()
