"""The output folder: temporary files are the run's own, and nothing is removed through a link."""

import pytest

from camviz.errors import OutputError
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
