"""Completion in bash, zsh and fish: names and fixed values, as the shells ask for them, without importing torch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

WATCH = """
import sys
from camviz.cli.app import main
try:
    main()
finally:
    print("imported:", *sorted({"torch", "torchvision", "cv2", "matplotlib"} & set(sys.modules)), file=sys.stderr)
"""


def completed(shell: str, line: str) -> list[str]:
    """What a shell is told for the last word of a line."""
    words = line.split(" ")
    asked = {
        "bash": {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    environment = {**os.environ, **asked, "_CAMVIZ_COMPLETE": f"complete_{shell}"}
    command = [sys.executable, "-c", WATCH]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr.splitlines()[-1] == "imported:", done.stderr
    found = re.findall(r'"([^"]+)"' if shell == "zsh" else r"^(\S+)", done.stdout, re.MULTILINE)
    return [name.replace("\\", "") for name in found]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("camviz heatmap --method grad", ["grad-rollout", "gradcam", "gradcam++", "gradient"]),
        ("camviz heatmap --fit ", ["model", "whole", "squash"]),
        ("camviz heatmap -m squeezenet1", ["squeezenet1_0", "squeezenet1_1"]),
    ],
)
def test_each_shell_gets_the_names(shell, line, expected):
    assert set(expected) <= set(completed(shell, line))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("heatmap --method gradcam,layerc", ["gradcam,layercam"]),
        ("heatmap --method=layerc", ["layercam"]),
        ("heatmap --layout p", ["panel"]),
        ("heatmap --colormap vir", ["viridis"]),
        ("heatmap --config qu", ["quick"]),
        ("heatmap --device cp", ["cpu"]),
        ("heatmap --weights r", ["random"]),
        ("heatmap --scale r", ["row", "run"]),
        ("heatmap --task regr", ["regression"]),
        ("heatmap --target top", ["top1", "top3", "top5"]),
        ("heatmap --engine r", ["ray"]),
        ("evaluate --metric del", ["deletion"]),
        ("features --layout s", ["strip"]),
        ("compare --colormap vir", ["viridis"]),
        ("methods layerc", ["layercam"]),
        ("layers squeezenet1_1", ["squeezenet1_1"]),
        ("hea", ["heatmap"]),
    ],
)
def test_what_completes(line, expected):
    assert completed("bash", f"camviz {line}") == expected


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
def test_the_script_that_bash_reads_is_made(fresh):
    done = fresh("--show-completion", "bash")
    assert done.returncode == 0, done.stderr
    assert "_CAMVIZ_COMPLETE=complete_bash" in done.stdout
    subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True, timeout=10)
