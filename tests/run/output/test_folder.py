"""The output folder: temporary files are the run's own, and nothing is removed through a link."""

import pytest

from camviz.errors import InputError, OutputError
from camviz.run.database.database import Database
from camviz.run.output.folder import OutputFolder


def test_a_link_in_the_place_of_the_parts_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "kept.part").write_text("x")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / ".camviz-shard-1-of-2.parts").symlink_to(victim)
    with pytest.raises(OutputError, match="is a link"):
        OutputFolder(folder, "shard-1-of-2")
    assert (victim / "kept.part").exists()


def test_parts_of_an_interrupted_run_are_removed(tmp_path):
    parts = tmp_path / ".camviz-shard-1-of-2.parts"
    parts.mkdir()
    (parts / "1-1.part").write_text("half")
    with OutputFolder(tmp_path, "shard-1-of-2"):
        assert list(parts.iterdir()) == []


def test_nothing_but_temporary_files_is_removed(tmp_path):
    parts = tmp_path / ".camviz-old.parts"
    parts.mkdir()
    for name in ("1-1.part", "camviz.sqlite", "camviz.sqlite-wal", "mine.part", "mine.txt"):
        (parts / name).write_text("x")
    OutputFolder(tmp_path).close()
    assert sorted(path.name for path in parts.iterdir()) == ["mine.part", "mine.txt"]


def test_nothing_is_written_through_a_linked_folder(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").symlink_to(victim)
    with OutputFolder(tmp_path / "out") as output:
        for name in ("x/a.png", "x/y/a.png"):
            with pytest.raises(InputError, match="is a link"):
                output.write(tmp_path / "out" / name, b"data")
        output.write(tmp_path / "out" / "y" / "a.png", b"data")
    assert list(victim.iterdir()) == []
    assert (tmp_path / "out" / "y" / "a.png").read_bytes() == b"data"


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal"])
def test_no_database_is_written_through_a_link(tmp_path, end):
    victim = tmp_path / "victim"
    victim.write_bytes(b"kept")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f"camviz.sqlite{end}").symlink_to(victim)
    with pytest.raises(OutputError, match="is a link"):
        Database(tmp_path / "out", write=True)
    assert victim.read_bytes() == b"kept"
