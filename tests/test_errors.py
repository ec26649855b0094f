"""The error tree: messages, hints, exit statuses, and what was meant by a mistyped name."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

import camviz
from camviz import errors
from camviz.errors import (
    CamvizError,
    InputError,
    RequestError,
    UnknownName,
    closest,
    first_of,
    match,
    system_error,
    unknown,
)

TREE = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, CamvizError)}


def test_exit_statuses():
    statuses = {name: getattr(errors, name).exit_status for name in TREE}
    assert {name for name, status in statuses.items() if status == 1} == {"InputError", "NothingFound", "RunError"}
    assert set(statuses.values()) == {1, 2}


def test_the_drawing_at_the_top_names_the_whole_tree():
    assert all(name in (errors.__doc__ or "") for name in TREE)


def test_request_and_input_errors_are_apart():
    assert not issubclass(InputError, RequestError)
    assert issubclass(UnknownName, RequestError)


def test_survives_pickling():
    copy = pickle.loads(pickle.dumps(InputError("bad 'x'", "type y")))
    assert (type(copy), copy.message, copy.hint, str(copy)) == (InputError, "bad 'x'", "type y", "bad 'x'")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("layr4", ["layer4"]), ("LAYER4", ["layer4"]), ("zzz", []), ("fc", ["FC"])],
)
def test_closest(typed, expected):
    assert closest(typed, ["layer4", "conv1", "FC"])[:1] == expected


def test_unknown_quotes_and_suggests():
    error = unknown("layer", "layr4", ["layer4", "stem"], "resnet50", "'camviz layers resnet50'")
    assert error.message == "no layer 'layr4' in resnet50"
    assert error.hint == "did you mean 'layer4'? 'camviz layers resnet50' lists all"


def test_unknown_without_anything_near_still_has_a_hint():
    assert unknown("class", "zzzz", iter(["cat", "dog"])).hint.endswith("'cat', 'dog'")
    assert unknown("class", "zzzz", [f"kind {i}" for i in range(9)]).hint.endswith("… (9 in all)")
    assert unknown("class", "zzzz", []).hint


def _raised() -> list[tuple[str, ast.Call]]:
    calls = []
    for file in sorted(Path(camviz.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TREE:
                calls.append((f"{file.name}:{node.lineno}", node))
    return calls


def test_every_error_is_made_with_a_hint():
    calls = _raised()
    assert len(calls) > 30
    bare = [place for place, call in calls if len(call.args) < 2 and "hint" not in {k.arg for k in call.keywords}]
    assert bare == []


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("a-b", "a-b"), ("A_B", "a-b"), ("ab", "a-b"), ("second", "other"), ("Sec Ond", "other"), ("c", None)],
)
def test_match(typed, expected):
    assert match("name", typed, ["a-b", "other"], {"second": "other"}) == expected


def test_an_ambiguous_name_lists_what_it_could_be():
    assert match("name", "a-b", ["a-b", "a_b"]) == "a-b"  # typed exactly
    with pytest.raises(UnknownName) as caught:
        match("name", "AB", ["a-b", "a_b"])
    assert "'AB'" in caught.value.message
    assert "'a-b' or 'a_b'" in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("names", "expected"), [([], ""), (["a"], "a"), (["a", "b"], "a, b"), (["a", "b", "c"], "a, b, …")]
)
def test_the_first_of_many_names(names, expected):
    assert first_of(iter(names), 2) == expected


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "/x/y"), "cannot use '/x/y': Permission denied"),
        (PermissionError(13, "Permission denied", b"/x"), "cannot use '/x': Permission denied"),
        (OSError(28, "No space left on device"), "cannot write: No space left on device"),
        (MemoryError(), "not enough memory"),
        (ImportError("libtorch.so: failed to map segment from shared object"), "not enough memory"),
        (RuntimeError("can't start new thread"), "not enough memory"),
    ],
)
def test_what_the_machine_refuses_is_no_bug(error, message):
    text, hint = system_error(error) or ("", "")
    assert text == message
    assert hint


def test_other_errors_stay_unexpected():
    assert system_error(ValueError("x")) is None
    assert system_error(OSError("x")) is None
