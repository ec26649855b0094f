"""What the arguments mean: files, folders, globs, standard input, and the names of results."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from camviz.io.inputs import list_inputs


@pytest.fixture
def names(tmp_path, monkeypatch):
    """`names("pics", …)`: the inputs' names, in a folder full of images (empty files will do)."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "pics/b.png",
        "pics/a.jpg",
        "pics/x/a.jpg",
        "pics/x/.hidden.jpg",
        "pics/y/a.JPG",
        "pics/y/notes.txt",
        "pics/.hidden/a.jpg",
        "other/a.jpg",
        "我的 图片/猫.jpg",
        "odd[1].jpg",
        "none/readme.md",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def listing(*arguments: str, skip=None, stdin: str = "") -> list[str]:
        found = list(list_inputs(arguments, skip, io.StringIO(stdin)))
        return [f"!{one.name}" if one.error else one.name for one in found]

    return listing


def test_a_null_byte_in_a_line_fails_alone(names):
    assert names("-", stdin="pics/a.jpg\npics/\0.jpg\npics/b.png\n") == ["pics/a.jpg", "!pics/\0.jpg", "pics/b.png"]


ALL = ["a.jpg", "b.png", "x/a.jpg", "y/a.JPG"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["pics/a.jpg"], ["a.jpg"]),
        (["pics"], ALL),
        (["./pics/"], ALL),
        (["pics/x", "pics/y"], ["x/a.jpg", "y/a.JPG"]),
        (["pics/y", "pics/x"], ["y/a.JPG", "x/a.jpg"]),
        (["pics/a.jpg", "other/a.jpg"], ["pics/a.jpg", "other/a.jpg"]),
        (["pics/*.jpg"], ["a.jpg"]),
        (["pics/*/a.*"], ["x/a.jpg", "y/a.JPG"]),
        (["pics/**"], ALL),
        (["pics/**/*.jpg"], ["a.jpg", "x/a.jpg"]),
        (["p*/x"], ["pics/x/a.jpg"]),
        (["odd[1].jpg"], ["odd[1].jpg"]),
        (["我的 图片"], ["猫.jpg"]),
        (["pics/y/notes.txt"], ["notes.txt"]),
        (["pics/x/.hidden.jpg"], [".hidden.jpg"]),
    ],
)
def test_what_arguments_mean(names, arguments, expected):
    assert names(*arguments) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ["pics/a.jpg", "pics/a.jpg"],
        ["pics/a.jpg", "./pics/../pics/a.jpg"],
        ["pics/a.jpg", "pics/*.jpg"],
        ["pics/**", "pics"],
        ["-"],
    ],
)
def test_the_same_file_twice_is_one_input(names, arguments):
    found = names(*arguments, stdin="pics/a.jpg\npics/a.jpg\n")
    assert len(found) == len(set(found))


def test_videos_are_taken_where_they_are_named_not_from_folders(names, tmp_path):
    for name in ("pics/clip.mp4", "pics/x/film.AVI"):
        (tmp_path / name).touch()
    assert names("pics") == names("pics/**") == ALL
    assert names("pics/c*") == ["!pics/c*"]
    assert names("pics/clip.mp4") == ["clip.mp4"]
    assert names("pics/*.mp4", "pics/x/film.AVI") == ["clip.mp4", "x/film.AVI"]
    assert names("-", stdin="pics/clip.mp4\n") == ["pics/clip.mp4"]


def test_a_name_does_not_depend_on_which_of_the_others_can_be_read(names, tmp_path):
    before = names("pics", "other")
    (tmp_path / "pics" / "b.png").unlink()
    assert names("pics", "other") == [name for name in before if name != "pics/b.png"]


def test_no_two_inputs_share_a_name(names):
    found = names("pics", "other", "我的 图片", "odd[1].jpg")
    assert len(set(found)) == len(found) == 7


# what the names of results begin with


@pytest.fixture
def stems(tmp_path, monkeypatch):
    """`stems("pics", …)`: the stem of each input, by its name."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "a.jpg",
        "a.png",
        "b.jpg",
        "c.jpg",
        "C.png",
        "d.jpg",
        "d.jpg.png",
        "e.v2",
        "f.mp4",
        "f.jpg",
        "x/a.jpg",
    ):
        path = tmp_path / "pics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return lambda *arguments, stdin="": {
        one.name: one.stem for one in list_inputs(arguments, stdin=io.StringIO(stdin)) if not one.error
    }


def test_the_suffix_is_kept_only_where_two_inputs_share_a_stem(stems):
    assert stems("pics") == {
        "C.png": "C.png",
        "a.jpg": "a.jpg",
        "a.png": "a.png",
        "b.jpg": "b",
        "c.jpg": "c.jpg",
        "d.jpg": "d",
        "d.jpg.png": "d.jpg.png",  # a result of d.jpg might begin with d.jpg
        "f.jpg": "f",
        "x/a.jpg": "x/a",
    }


@pytest.mark.parametrize("arguments", [["pics", "pics/f.mp4"], ["pics/f.mp4", "pics"], ["pics/*.mp4", "pics/**"]])
def test_no_two_results_share_a_stem_however_they_are_named(stems, arguments):
    found = stems(*arguments)
    assert (found["f.mp4"], found["f.jpg"]) == ("f.mp4", "f.jpg")
    assert len(set(found.values())) == len(found) == 10


def test_images_that_are_no_inputs_do_not_matter(stems):
    assert stems("pics/a.png", "pics/x/a.jpg", "pics/e.v2") == {"a.png": "a", "x/a.jpg": "x/a", "e.v2": "e.v2"}
    assert stems("pics/a.*") == {"a.jpg": "a.jpg", "a.png": "a.png"}


def test_on_standard_input_the_folder_decides(stems):
    assert stems("-", stdin="pics/a.png\npics/b.jpg\n") == {"pics/a.png": "pics/a.png", "pics/b.jpg": "pics/b"}
    assert stems("-", stdin="pics/f.mp4\n") == {"pics/f.mp4": "pics/f.mp4"}


# standard input


def test_paths_on_standard_input(names):
    assert names("-", stdin="pics/b.png\r\n\n  \n我的 图片/猫.jpg\npics/a.jpg") == [
        "pics/b.png",
        "我的 图片/猫.jpg",
        "pics/a.jpg",
    ]


def test_a_path_from_elsewhere_keeps_its_whole_path(names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "pics")
    outside = str(tmp_path / "other" / "a.jpg")
    assert names("-", stdin=f"a.jpg\n{outside}\n") == ["a.jpg", outside.lstrip("/")]


def test_standard_input_is_read_as_it_comes(tmp_path):
    def lines():
        yield "a.jpg\n"
        raise AssertionError("read ahead")

    assert next(list_inputs(["-"], stdin=lines())).name == "a.jpg"


# nothing there


@pytest.mark.parametrize(
    ("argument", "says"),
    [("none", "no images in folder 'none'"), ("*.bmp", "nothing matches '*.bmp'"), ("-", "standard input")],
)
def test_an_argument_that_gives_nothing_is_an_error_of_its_own(names, argument, says):
    [one] = [one for one in list_inputs([argument, "pics/a.jpg"], stdin=io.StringIO()) if one.error]
    assert says in one.error.message
    assert one.error.hint
    assert names(argument, "pics/a.jpg")[-1] == "pics/a.jpg"


def test_a_missing_file_is_left_to_the_reader(names):
    assert names("gone.jpg") == ["gone.jpg"]


# links


def test_links_to_files_and_folders_are_followed(names, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "one.jpg").symlink_to(tmp_path / "pics" / "a.jpg")
    (tmp_path / "links" / "folder").symlink_to(tmp_path / "pics" / "x")
    assert names("links") == ["folder/a.jpg", "one.jpg"]


def test_a_link_to_a_folder_above_is_not_followed(names, tmp_path):
    (tmp_path / "pics" / "x" / "loop").symlink_to(tmp_path / "pics")
    assert names("pics") == ALL


# the output folder


def test_the_output_folder_is_not_taken_as_input(names, tmp_path):
    out = tmp_path / "pics" / "camviz_out"
    out.mkdir()
    (out / "a.jpg.png").touch()
    assert names("pics", skip=out) == ALL
    assert names("pics", skip=Path(os.path.relpath(out))) == ALL
    assert names("pics/**/*.png", skip=out) == ["b.png"]
    assert names("pics") == ["a.jpg", "b.png", "camviz_out/a.jpg.png", "x/a.jpg", "y/a.JPG"]


def test_the_output_folder_is_taken_when_it_is_named(names, tmp_path):
    out = tmp_path / "pics" / "x"
    assert names("pics/x", skip=out) == ["a.jpg"]
    assert names("pics/x/*.jpg", skip=out) == ["a.jpg"]


# rights


def test_a_folder_that_cannot_be_listed_is_not_passed_over(names, monkeypatch):
    real = os.scandir

    def scandir(folder):
        if os.path.basename(folder) == "x":
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert names("pics") == ["a.jpg", "b.png", "x", "y/a.JPG"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_real_folder_without_rights(names, tmp_path):
    (tmp_path / "pics" / "x").chmod(0)
    assert names("pics") == ["a.jpg", "b.png", "x", "y/a.JPG"]
