"""What only a process of its own can show: imports, signals, closed pipes, bytes that are not UTF-8."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from PIL import Image

WATCH = """
import sys
from camviz.cli.app import app
try:
    app(sys.argv[1:])
finally:
    print("imported:", *sorted({"torch", "torchvision", "cv2"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["heatmap", "--help"], 0),
        (["methods"], 0),
        (["methods", "gradcam", "--json"], 0),
        (["models", "resnet"], 0),
        (["heatmapp"], 2),
        (["heatmap", "--layr", "x"], 2),
        (["heatmap", "--precision", "fp8"], 2),
        (["models", "resnet5x"], 2),
        (["methods", "gardcam"], 2),
        (["layers", "resnet5"], 2),
        (["heatmap", "a.png", "--model", "resnet5"], 2),
        (["heatmap", "a.png", "--method", "gardcam"], 2),
        (["heatmap", "a.png", "--model", "resnet18", "--target", "cat"], 2),
        (["heatmap", "a.png", "--model", "resnet18", "--target", "1000"], 2),
        (["heatmap", "a.png", "--model", "resnet18", "--weights", "V9"], 2),
        (["heatmap", "a.png", "--model", "net.py:Nett"], 2),
        (["heatmap", "a.png", "--checkpoint", "gone.pth"], 2),
        (["heatmap", "a.png", "--labels", "gone.txt"], 2),
        (["heatmap", "a.png", "--device", "gpu"], 2),
        (["heatmap", "a.png", "--colormap", "viridiss"], 2),
        (["heatmap", "a.png", "--layout", "overly"], 2),
        (["heatmap", "a.png", "--output", "net.py"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_answers_without_importing_torch(net_file, tmp_path, arguments, status):
    command = [sys.executable, "-c", WATCH, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60)
    assert done.returncode == status, done.stderr
    assert done.stderr.splitlines()[-1] == "imported:"


def test_the_library_imports_lazily():
    code = "import sys, camviz; camviz.load, camviz.CamvizError; print('torch' in sys.modules, 'cv2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "False"]


def test_the_module_runs(fresh):
    done = fresh("heatmapp")
    assert done.returncode == 2
    error, hint = done.stderr.splitlines()
    assert error == "error: no command 'heatmapp'"
    assert hint.startswith("hint: did you mean 'heatmap'?")


def test_an_interruption_leaves_what_is_done_and_says_so(net_file, write_image, tmp_path, written):
    """Paths come on standard input, so that the run waits for the next one when it is interrupted."""
    for name in "abc":
        write_image(tmp_path / f"{name}.png")
    command = [sys.executable, "-m", "camviz", "heatmap", "-", "--model", f"{net_file}:Net", "--input-size", "32"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*command, "--batch-size", "1", "-o", "out", "-q"],
        cwd=tmp_path,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
    ) as process:
        process.stdin.write("a.png\nb.png\n")
        process.stdin.flush()
        assert process.stdout.readline() == "out/a_gradcam.png\n"
        process.send_signal(signal.SIGINT)
        stderr = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert [line.partition(": ")[0] for line in stderr.splitlines()] == ["error", "hint"]
    assert "interrupted" in stderr
    assert set(written()) - {"b_gradcam.png"} == {"a_gradcam.png"}  # the next may have been complete


@pytest.mark.parametrize(
    "arguments", [["models"], ["methods"], ["methods", "--json"], ["methods", "gradcam"], ["layers", "squeezenet1_1"]]
)
def test_whoever_reads_may_stop(tmp_path, arguments):
    """As `camviz models | head -1`, but the pipe is closed before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "camviz", *arguments]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(writer)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr
    assert "rror" not in done.stderr


def test_whoever_reads_paths_may_stop(net_file, write_image, tmp_path):
    for number in range(3):
        write_image(tmp_path / "pics" / f"{number}.png")
    command = f"{sys.executable} -m camviz heatmap pics --model net.py:Net --input-size 32 --batch-size 1 | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=True, timeout=60)
    assert done.stdout == "camviz_out/0_gradcam.png\n"
    assert "Traceback" not in done.stderr
    assert "rror" not in done.stderr


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are UTF-8 there")
def test_a_name_that_is_not_utf_8(net_file, tmp_path, pixels):
    name = "中文".encode("gbk") + b".png"  # no UTF-8
    (tmp_path / "pics").mkdir()
    with open(os.path.join(os.fsencode(tmp_path), b"pics", name), "wb") as file:
        Image.fromarray(pixels()).save(file, "PNG")
    command = [sys.executable, "-m", "camviz", "heatmap", "--model", "net.py:Net", "--input-size", "32", "-o", "out"]
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": "utf-8:strict"}
    for arguments, stdin in ((["pics"], b""), (["-"], b"pics/" + name + b"\n")):
        done = subprocess.run(
            [*command, *arguments],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=environment,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith(name.removesuffix(b".png") + b"_gradcam.png\n")
        assert os.path.exists(os.path.join(os.fsencode(tmp_path), done.stdout.rstrip(b"\n")))
