"""What `--help` says: every example of every command is found there, typed in a folder of its own, and works."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
import typer.main
from PIL import Image
from torchvision.models import list_models
from typer.testing import CliRunner

from camviz import demo
from camviz.cli.app import app
from tests.conftest import MODEL

SAMPLES = demo.sample_folder()
COMMANDS = typer.main.get_command(app).commands
FEW = {
    "maximize": ["--steps=2"],
    "reconstruct": ["--steps=2"],
    "evaluate": ["--metric=insertion", "--forwards=4", "--resamples=100"],
    "errors": ["--no-removal"],
}
VOC = "<annotation><object><name>{}</name><bndbox><xmin>9</xmin><ymin>9</ymin><xmax>40</xmax><ymax>40</ymax></bndbox>"

LISTS = ("layers", "models", "methods", "evaluate", "doctor")
FEW_EXAMPLES = ("report",)


def shown(*arguments: str, width: int = 80) -> str:
    """The help of a command as a terminal of so many columns shows it."""
    result = CliRunner().invoke(app, [*arguments, "--help"], env={"COLUMNS": str(width)})
    assert result.exit_code == 0
    return result.stdout


def examples(*arguments: str, width: int = 80) -> list[str]:
    """The commands below "Examples:", as they stand there."""
    _, _, below = shown(*arguments, width=width).partition("Examples:")
    return [line.strip() for line in below.splitlines() if line.strip()]


def groups() -> list[tuple[str, list[str]]]:
    return [(" ".join(path) or "camviz", examples(*path)) for path in [(), *((name,) for name in COMMANDS)]]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with what the examples name: images, labels, a model of one's own, a run."""
    folder = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number, (name, place) in enumerate([("tabby", "photos/tabby"), ("zebra", "photos/zebra"), ("", ".")]):
            Path(place).mkdir(parents=True, exist_ok=True)
            image = Image.open(SAMPLES / "star_and_ring.jpg").convert("RGB").resize((64, 48))
            image.rotate(90 * number).save(Path(place) / ("photo.jpg" if place == "." else f"{number}.jpg"))
            if name:
                Path("Annotations").mkdir(exist_ok=True)
                Path(f"Annotations/{number}.xml").write_text(VOC.format(name) + "</object></annotation>")
        Path("labels.csv").write_text("image,label\ntabby/0.jpg,tabby\nzebra/1.jpg,zebra\n")
        Path("names.txt").write_text("tabby\nzebra\nowl\neel\n")
        Path("net.py").write_text(MODEL)
        space: dict[str, object] = {}
        exec(compile(MODEL, "net.py", "exec"), space)
        for seed, name in enumerate(["my.pth", "old.pth", "new.pth"]):
            torch.save(space["Net"](seed=seed).state_dict(), name)  # type: ignore[operator]
        Path("samples").mkdir()
        for name in ("star_and_ring.jpg", "drop_alone.jpg", "annotations.json"):
            shutil.copy(SAMPLES / name, Path("samples") / name)
        done = CliRunner().invoke(app, ["heatmap", "samples", "-m", "demo"])
        assert done.exit_code == 0, done.output
    return folder


def small(words: list[str]) -> list[str]:
    """The command with as little to compute as it can have: untrained models, small images, few steps."""
    command = words[1]
    known = {"-m", "--model"} & set(words)
    images = "images" in {one.name for one in COMMANDS[command].params}
    stock = set(words) & set(list_models()) or (images and not known and any(Path(one).exists() for one in words[2:]))
    more = [] if not stock else ["--weights=none"] if "vit_b_16" in words else ["--weights=none", "--input-size=64"]
    boxes = ["--metric=pointing"] if "--boxes" in words else []
    return [command, *FEW.get(command, ()), *boxes, *more, *words[2:]]


@pytest.mark.parametrize(("command", "typed"), groups(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_example_works(command, typed, made, tmp_path, monkeypatch):
    """Those of a command one after the other, as somebody would who tries them all."""
    reads = command in COMMANDS and "run" in {one.name for one in COMMANDS[command].params}
    shutil.copytree(made, tmp_path, dirs_exist_ok=True, ignore=None if reads else shutil.ignore_patterns("camviz_out"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "sample_folder", lambda: tmp_path / "samples")
    for line in typed:
        words = shlex.split(line)
        assert words[0] == "camviz", line
        result = CliRunner().invoke(app, small(words))
        if "cuda" in words and not torch.cuda.is_available():
            assert (result.exit_code, result.stdout) == (2, ""), line
            assert "no device 'cuda'" in result.stderr
            continue
        assert result.exit_code == 0, (line, result.output)
        if words[1] in LISTS:
            assert result.stdout, line
        elif words[1] == "replay":
            assert "equal: 2 map(s)" in result.stderr
        else:
            written = result.stdout.splitlines()
            assert written, line
            assert all(Path(path).is_file() for path in written), line


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_a_help_text_fits_a_screen(command):
    assert len(shown(*command.split()).splitlines()) <= 60


def options_in(text: str) -> set[str]:
    return set(re.findall(r"^│ (--[\w-]+)", text, re.MULTILINE))


@pytest.mark.parametrize("command", COMMANDS)
def test_all_options_are_one_option_away(command):
    """--help shows the everyday options, and names --help-all wherever it leaves some out."""
    short = shown(command)
    everything = CliRunner().invoke(app, [command, "--help-all"], env={"COLUMNS": "80"})
    assert everything.exit_code == 0
    known = {max(one.opts, key=len) for one in COMMANDS[command].params if one.param_type_name == "option"}
    assert options_in(everything.stdout) == known | {"--help"}
    assert options_in(short) <= options_in(everything.stdout)
    if options_in(short) != options_in(everything.stdout):
        assert f"'camviz {command} --help-all'" in short
        everyday = {"--model", "--output", "--config"} & known
        assert everyday <= options_in(short)
    panels = re.findall(r"^╭─ (\w[\w ]*) ─", everything.stdout, re.MULTILINE)
    assert "Cluster" not in panels[:-1]


def test_every_command_has_examples_and_they_fit_80_columns():
    for command, typed in groups():
        assert len(typed) >= 1 if command in FEW_EXAMPLES else len(typed) >= 2, command
        for line in typed:
            assert shlex.split(line)[1] in COMMANDS, (command, line)
        assert typed == examples(*([] if command == "camviz" else [command]), width=200), "a line is broken"
        if command != "camviz":
            assert any(line.startswith(f"camviz {command}") for line in typed), command
