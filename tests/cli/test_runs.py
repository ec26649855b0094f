"""The commands about an earlier run, as they are typed."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMANDS = ["restyle", "replay", "report", "export"]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_run(run, finished_run, refused, tmp_path, command):
    refused(run(command), "no RUN", f"camviz {command} camviz_out")
    refused(run(command, "."), "no run in '.'", "camviz heatmap")
    refused(run(command, "gone"), "no run in 'gone'")
    assert not (tmp_path / "gone").exists()
    refused(
        run(command, "out", "--job", "zzz"), "no job 'zzz' in 'out'", finished_run.key, "heatmap gradcam, 3 image(s)"
    )


@pytest.mark.parametrize("command", ["restyle", "replay"])
def test_a_job_without_maps(run, finished_run, refused, tmp_path, command):
    from camviz.run.database.database import Database

    with Database(tmp_path / "out", write=True) as database:
        other = database.begin("features", {}, {})
    refused(run(command, "out", "--job", other.key), "'camviz features'", "--job chooses another, of 'camviz heatmap'")


@pytest.mark.parametrize("command", ["restyle", "report", "export"])
def test_torch_is_not_imported(finished_run, tmp_path, command):
    code = "import sys\nfrom camviz.cli.app import app\ntry: app(sys.argv[1:])\nfinally: print(\
sorted({'torch', 'torchvision'} & set(sys.modules)), file=sys.stderr)"
    call = [sys.executable, "-c", code, command, "out"]
    done = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"


# replay
