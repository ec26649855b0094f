"""Run databases from strangers: names that lead out of the folder, links, URLs."""

from __future__ import annotations

import os
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from tests.helpers.runs import make_run

NAMES = ["../../canary.png", "{top}/canary.png", "..\\..\\canary.png", "C:\\canary.png", "x/../../canary.png", "\0"]


@pytest.fixture
def made(tmp_path, monkeypatch) -> Path:
    """A run of two images, deep below the folder of the test."""
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "deep" / "er" / "out", ["a.png", "b.png"], images=tmp_path / "images")
    return tmp_path / "deep" / "er" / "out"


def change(folder: Path, query: str, *values: object) -> None:
    """Run a statement on the database of a run."""
    with closing(sqlite3.connect(folder / "camviz.sqlite")) as db, db:
        db.execute(query, values)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_out_fails_alone(run, made, tmp_path, name):
    name = name.format(top=tmp_path)
    change(made, "UPDATE inputs SET name = ? WHERE name = 'a.png'", name)
    before = files(tmp_path)
    result = run("restyle", made, "--colormap", "jet", "--format", "jpg")
    assert (result.exit_code, result.stdout) == (1, f"{made}/b_gradcam.jpg\n")
    assert "leads out of the output folder" in result.stderr
    result = run("export", made, "--format", "npz")
    assert (result.exit_code, result.stdout) == (1, f"{made}/maps.npz\n")
    assert zipfile.ZipFile(made / "maps.npz").namelist() == ["b_gradcam.npy"]
    assert files(tmp_path) - before == {"deep/er/out/b_gradcam.jpg", "deep/er/out/maps.npz"}


def test_a_stem_that_does_not_begin_the_name_is_not_used(run, made, tmp_path):
    change(made, "UPDATE inputs SET stem = '../../x' WHERE name = 'a.png'")
    assert run("restyle", made, "-o", "new").stdout.splitlines() == ["new/a.png_gradcam.png", "new/b_gradcam.png"]


def test_a_file_out_of_the_folder_is_no_file_of_the_run(run, made, tmp_path, write_image):
    write_image(tmp_path / "deep" / "secret.png", seed=9)
    change(made, "DELETE FROM maps")
    change(made, "UPDATE files SET path = '../../secret.png' WHERE path = 'a_gradcam.png'")
    assert run("report", made).exit_code == 0
    page = (made / "report.html").read_text("utf-8")
    assert "secret" not in page
    assert '"b_gradcam.png"' in page


def test_errors_and_compare_stay_in_their_folder(run, made, net_file, write_image, tmp_path):
    for number, label in enumerate(["one", "two"]):
        write_image(tmp_path / "pics" / label / f"{number}.png", seed=number)
    (tmp_path / "labels.txt").write_text("one\ntwo\nthree\nfour\n")
    model = ["--model", f"{net_file}:Net", "--input-size", 32]
    commands = (
        ["compare", tmp_path / "pics", *model, "--method", "gradcam,layercam"],
        ["errors", tmp_path / "pics", *model, "--labels", tmp_path / "labels.txt"],
    )
    for arguments in commands:
        out = tmp_path / "deep" / "er" / str(arguments[0])
        assert run(*arguments, "-o", out).exit_code == 0
        change(out, "DELETE FROM files")
        change(out, "UPDATE inputs SET name = '../../canary' WHERE id = (SELECT input FROM maps)")
        result = run(*arguments, "-o", out)
        assert result.exit_code == 1
        assert "'../../canary' leads out of the output folder" in result.stderr
    assert not list(tmp_path.rglob("canary*"))


def test_nothing_is_drawn_through_a_linked_folder(heatmap, write_image, tmp_path):
    write_image(tmp_path / "pics" / "x" / "a.png")
    write_image(tmp_path / "pics" / "b.png")
    (tmp_path / "victim").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").symlink_to(tmp_path / "victim")
    result = heatmap(tmp_path / "pics")
    assert (result.exit_code, result.stdout) == (1, f"{tmp_path}/out/b_gradcam.png\n")
    assert f"'{tmp_path}/out/x' is a link" in result.stderr
    assert os.listdir(tmp_path / "victim") == []


@pytest.fixture
def remote(made, store):
    """The run with an image of a store in it, and the requests that the store gets."""
    store.pipe_file("/bucket/a.png", Path("images/a.png").read_bytes())
    change(made, "UPDATE inputs SET path = 'memory://bucket/a.png', size = NULL WHERE name = 'a.png'")
    return made


@pytest.mark.parametrize("command", ["restyle", "report", "export"])
def test_a_url_of_a_database_is_read_only_if_that_is_allowed(run, remote, monkeypatch, command):
    from fsspec.implementations.memory import MemoryFileSystem

    requests = []
    for name in ("cat_file", "info", "ls", "_open", "exists"):
        monkeypatch.setattr(MemoryFileSystem, name, lambda *a, _name=name, **_: requests.append(_name))
    result = run(command, remote, "-o", "new")
    assert requests == []
    assert result.exit_code == (command == "restyle")
    assert ("memory://bucket/a.png" in result.stderr) == (command == "restyle")


def test_a_url_that_is_allowed_is_read(run, remote):
    result = run("restyle", remote, "-o", "new", "--allow-urls")
    assert (result.exit_code, sorted(result.stdout.splitlines())) == (0, ["new/a_gradcam.png", "new/b_gradcam.png"])
    assert run("report", remote, "--allow-urls").exit_code == 0


def test_an_address_that_no_package_reads_fails_alone(run, made):
    change(made, "UPDATE inputs SET path = 'nonsense://x' WHERE name = 'a.png'")
    for options in ([], ["--allow-urls"]):
        result = run("restyle", made, "-o", f"new{len(options)}", *options)
        assert (result.exit_code, result.stdout) == (1, f"new{len(options)}/b_gradcam.png\n")
        assert "nonsense://x" in result.stderr
    for command in ("report", "export"):
        assert run(command, made).exit_code == 0


def test_a_model_that_exits_fails_its_images_and_not_the_run(run, net_file, write_image, tmp_path):
    net_file.write_text(f"""{net_file.read_text()}

class Exits(Net):
    calls = 0

    def forward(self, x):
        Exits.calls += 1
        if Exits.calls > 4:
            raise SystemExit(0)
        return super().forward(x)
""")
    images = [write_image(tmp_path / f"{number}.png", seed=number) for number in range(6)]
    model = ["--model", f"{net_file}:Exits", "--input-size", 32, "--batch-size", 1]
    result = run("heatmap", *images, *model, "-o", tmp_path / "out")
    assert result.exit_code in (1, 2)
    assert "SystemExit" in result.stderr
    assert "bug in camviz" not in result.stderr
    net_file.write_text(net_file.read_text().replace("calls > 4", "calls > 0"))
    result = run("layers", f"{net_file}:Exits", "--input-size", 32)
    assert result.exit_code, result.output
