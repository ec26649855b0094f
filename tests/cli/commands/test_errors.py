"""`camviz errors`: how much is right, what is taken for what, and a figure for each wrong image."""

from __future__ import annotations

import csv
import re
import subprocess
import sys

import pytest


@pytest.fixture
def errors(run, net_file, tmp_path):
    def invoke(*arguments):
        fixed = ["--model", f"{net_file}:Net", "--input-size", 32, "--output", tmp_path / "out", "--dpi", 50]
        return run("errors", *fixed, *arguments)

    return invoke


@pytest.fixture
def labeled(write_image, tmp_path):
    """Two images that look the same, in the folders of two classes: one of them is wrong."""
    for label in ("0", "1", "2", "3"):
        write_image(tmp_path / "photos" / label / "x.png")
    return tmp_path / "photos"


def table(tmp_path):
    with (tmp_path / "out" / "errors.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_wrong_ones_are_explained(errors, labeled, tmp_path, written):
    result = errors(labeled)
    assert result.exit_code == 0, result.stderr
    assert "1 of 4 right, 25.0%" in result.stderr
    rows = table(tmp_path)
    said = {row["predicted"] for row in rows}
    assert len(said) == 1
    right = said.pop().removeprefix("class ")
    wrong = sorted({"0", "1", "2", "3"} - {right})
    assert [row["true"] for row in rows] == [f"class {one}" for one in wrong]
    assert written() == [*(f"{one}/x_errors.png" for one in wrong), "errors.csv", "errors.html"]
    page = (tmp_path / "out" / "errors.html").read_text("utf-8")
    assert set(re.findall('src="([^"]*)"', page)) == {f"{one}/x_errors.png" for one in wrong}
    assert "1 of 4 correct, 25.0%" in page


def test_again_nothing_is_to_be_done(errors, labeled):
    errors(labeled)
    again = errors(labeled)
    assert (again.exit_code, again.stdout) == (0, "")
    assert "1 of 4 right" in again.stderr


def test_labels_from_a_table(errors, labeled, tmp_path):
    (tmp_path / "truth.csv").write_text("image,label\nx.png,2\n")
    result = errors(labeled, "--labels-from", tmp_path / "truth.csv", "--no-removal")
    assert "4 of 4 right" in result.stderr or "0 of 4 right" in result.stderr
    assert all(row["removed_share"] == "" for row in table(tmp_path))


def test_where_no_image_can_be_judged_nothing_is_said_of_how_many_are_right(errors, labeled, tmp_path):
    for path in labeled.rglob("*.png"):
        path.write_text("words")
    result = errors(labeled, "--no-removal")
    assert result.exit_code == 1
    assert "no image could be judged" in result.stderr
    assert "%" not in result.stderr


def test_a_folder_that_is_no_class_fails_alone(errors, labeled, write_image, tmp_path):
    write_image(tmp_path / "photos" / "other" / "y.png")
    result = errors(labeled)
    assert result.exit_code == 1
    assert "no class 'other'" in result.stderr
    assert "1 of 4 right" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no images"),
        (["PHOTOS", "--labels-from", "none.csv"], "none.csv"),
        (["PHOTOS", "--method", "gradcam,layercam"], "2 methods"),
        (["PHOTOS", "--format", "gif"], "gif"),
        (["PHOTOS", "--task", "regression"], "regression"),
    ],
)
def test_refusals(errors, labeled, refused, arguments, words):
    refused(errors("-q", *(labeled if one == "PHOTOS" else one for one in arguments)), words)


def test_help_does_not_import_torch():
    code = "import sys; from camviz.cli.app import app; app(sys.argv[1:], standalone_mode=False); "
    code += "assert not {'torch', 'cv2', 'torchvision'} & set(sys.modules)"
    for arguments in (["--help"], []):
        assert subprocess.run([sys.executable, "-c", code, "errors", *arguments], check=False).returncode == 0


def test_a_folder_without_labels_is_refused_at_once(errors, write_image, refused, tmp_path, written):
    for name in "abc":
        write_image(tmp_path / "plain" / f"{name}.png")
    refused(errors("-q", tmp_path / "plain"), "no class 'plain'", "--labels-from FILE.csv")
    assert written() == []


def test_an_empty_list_of_images_writes_no_tables(run, net_file, tmp_path):
    result = run("errors", "-", "--model", f"{net_file}:Net", "--input-size", 32, "-o", tmp_path / "out", stdin="")
    assert (result.exit_code, result.stdout) == (1, "")
    assert not list(tmp_path.rglob("errors.*"))
