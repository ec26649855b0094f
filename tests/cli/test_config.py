"""`--config` and `--show-config`: what is typed wins over the file, the file over the default."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from camviz.cli import config
from camviz.cli.registry import commands

NAMES = [entry.name for entry in commands()]
PRESETS = ["compare", "paper", "quick", "thorough", "transformer"]


@pytest.fixture
def file(tmp_path, monkeypatch):
    """`file(text, name)`: a config file in the current folder; its name."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "my.toml") -> str:
        Path(name).write_text(text, encoding="utf-8")
        return name

    return write


@pytest.fixture
def shown(run):
    """`shown("heatmap", …)`: what --show-config prints, parsed, of that command's section."""

    def show(command: str, *arguments: object) -> dict[str, object]:
        result = run(command, *arguments, "--show-config")
        assert result.exit_code == 0, result.stderr
        assert result.stderr == ""
        [(section, values)] = tomllib.loads(result.stdout).items()
        assert section == command
        return values

    return show


def test_typed_over_section_over_shared_over_default(shown, file):
    name = file('alpha = 0.25\nseed = 3\nformat = "webp"\n[heatmap]\nalpha = 0.75\nformat = "jpg"\n')
    found = shown("heatmap", "--config", name, "--format", "png")
    assert [found[key] for key in ("format", "alpha", "seed", "sign")] == ["png", 0.75, 3, "positive"]
    assert shown("heatmap", "--config", file("alpha = 0.25\n"))["alpha"] == 0.25
    assert "alpha" not in shown("heatmap")  # the default depends on the map


def test_the_place_of_config_among_the_options_does_not_matter(shown, file):
    name = file("alpha = 0.75\n")
    assert shown("heatmap", "--alpha", "0.1", "--config", name) == shown("heatmap", "--config", name, "--alpha", "0.1")


def test_a_later_file_wins(shown, file):
    first, second = file("alpha = 0.1\nseed = 1\n", "1.toml"), file("alpha = 0.2\n", "2.toml")
    found = shown("heatmap", "--config", first, "--config", second)
    assert (found["alpha"], found["seed"]) == (0.2, 1)


def test_other_commands_settings_are_passed_over(shown, file):
    name = file('rank = "peak"\nalpha = 0.2\n[features]\ntop = 3\n[heatmap]\nsign = "both"\n')
    found = shown("features", "--config", name)
    assert (found["rank"], found["top"], "alpha" in found, "sign" in found) == ("peak", 3, False, False)


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("batch_size = 4", "batch-size", 4),
        ("batch-size = 4", "batch-size", 4),
        ("input-size = 32", "input-size", "32"),
        ("mean = [0.5, 0.25, 0.5]", "mean", "0.5,0.25,0.5"),
        ("target = 3", "target", ["3"]),
        ('layer = ["a", "b.-1"]', "layer", ["a", "b.-1"]),
        ("set = {samples = 50, flip = true}", "set", ["samples=50", "flip=true"]),
        ("colorbar = false", "colorbar", False),
        ("save_raw = true", "save-raw", True),
        ("alpha = 1", "alpha", 1.0),
        ('output = "a \\"quoted\\" 图\\u007f"', "output", 'a "quoted" 图\x7f'),
    ],
)
def test_a_value_is_what_typing_it_would_be(shown, file, line, key, value):
    found = shown("heatmap", "--config", file(line))
    assert found[key] == value
    assert type(found[key]) is type(value)


def test_an_option_that_is_repeated_replaces_that_of_the_file(shown, file):
    name = file('layer = ["a", "b"]')
    assert shown("heatmap", "--config", name, "-l", "c", "-l", "d")["layer"] == ["c", "d"]
    assert "layer" not in shown("heatmap", "--config", file('layer = ["a"]\n[heatmap]\nlayer = []'))


def test_the_values_are_used_and_not_only_shown(heatmap, write_image, file, tmp_path, written):
    name = file('format = "jpg"\n[heatmap]\nlayout = "panel"\nsave-raw = true\n')
    assert heatmap(write_image(tmp_path / "a.png"), "--config", name).exit_code == 0
    assert written() == ["a_gradcam.jpg", "a_gradcam.npy"]


# --show-config


@pytest.mark.parametrize("command", NAMES)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_fits_every_command_and_comes_back_the_same(run, file, command, preset):
    first = run(command, "--config", preset, "--show-config")
    assert first.exit_code == 0, first.stderr
    again = run(command, "--config", file(first.stdout), "--show-config")
    assert again.stdout == first.stdout


def test_what_is_shown_says_also_what_is_not_set(run):
    lines = run("heatmap", "--show-config", "--alpha", "0.1").stdout.splitlines()
    assert lines[0] == "[heatmap]"
    assert {"alpha = 0.1", "# colormap is not set", "save-raw = false", 'weights = "default"'} <= set(lines)
    assert not any("config" in line for line in lines)


# presets


def test_the_presets_and_where_they_go_in_a_wheel():
    assert list(config.presets()) == PRESETS
    root = Path(__file__).resolve().parents[2]
    assert config.preset_folder() == root / "configs"
    settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    places = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert places["configs"] == "camviz/cli/configs"
    assert Path(config.__file__).parent == root / "camviz/cli"


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_says_something_that_is_not_the_default(shown, preset):
    assert shown("heatmap", "--config", preset) != shown("heatmap")
    assert shown("features", "--config", preset) != shown("features")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("command", ["heatmap", "features"])
def test_a_preset_runs(run, net_file, write_image, tmp_path, command, preset):
    fixed = ["--model", f"{net_file}:Net", "--input-size", 32, "--output", tmp_path / "out"]
    classes = ["--target", "top1"] if preset == "thorough" else []
    result = run(command, write_image(tmp_path / "a.png"), *fixed, "--config", preset, *classes)
    assert result.exit_code == 0, result.stderr


def test_a_folder_with_the_name_of_a_preset_does_not_hide_it(shown, file, tmp_path):
    (tmp_path / "paper").mkdir()
    file("", "x.toml")
    assert shown("heatmap", "--config", "paper")["layout"] == "panel"


# what is wrong


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("btach_size = 4", ["no option 'btach-size' in 'my.toml'", "did you mean 'batch-size'", "camviz heatmap"]),
        ("config = 'x'", ["no option 'config' in 'my.toml'"]),
        ("no-colorbar = true", ["no option 'no-colorbar'", "did you mean 'colorbar'"]),
        ("[features]\nalpha = 1", ["no option 'alpha' in [features] of 'my.toml'", "'camviz features --help'"]),
        ("[features]\ntpo = 1", ["no option 'tpo' in [features]", "did you mean 'top'"]),
        ("[heatmp]\nalpha = 1", ["no section 'heatmp' in 'my.toml'", "did you mean 'heatmap'"]),
        ("heatmap = 3", ["'heatmap' in 'my.toml' is a command", "[heatmap]"]),
        ("batch-size = 1\nbatch_size = 2", ["'batch-size' and 'batch_size' in 'my.toml'"]),
        ("alpha = 'thick'", ["'thick'", "--alpha", "in 'my.toml'"]),
        ("batch-size = true", ["'true'", "--batch-size", "in 'my.toml'"]),
        ("batch-size = -1", ["'-1'", "--batch-size", "in 'my.toml'"]),
        ("precision = 'fp8'", ["below [heatmap]", "'fp8'", "--precision", "'bf16'", "in 'my.toml'"]),
        ("save-raw = 'perhaps'", ["'perhaps'", "--save-raw", "in 'my.toml'"]),
        ("alpha = {a = 1}", ["'alpha' in 'my.toml' is a table"]),
        ("layout = 'overly'", ["no layout 'overly'", "did you mean 'overlay'"]),
        ("# two\nmodel = resnet50", ["'my.toml' is not TOML", "line 2", 'model = "resnet50"']),
        ("alpha 3", ["'my.toml' is not TOML", "alpha 3"]),
    ],
)
def test_a_wrong_file(heatmap, file, refused, written, text, quoted):
    refused(heatmap("--config", file(text)), *quoted)
    assert written() == []


@pytest.mark.parametrize(
    ("typed", "quoted"),
    [
        ("gone.toml", ["no config file 'gone.toml'", "one of compare, paper"]),
        ("papr", ["no config file 'papr'", "did you mean --config paper?"]),
        ("paper.toml", ["no config file 'paper.toml'", "did you mean --config paper?"]),
        ("mien.toml", ["no config file 'mien.toml'", "did you mean --config mine.toml"]),
        (".", ["'.'", "is a folder"]),
        ("latin.toml", ["'latin.toml' is not UTF-8"]),
    ],
)
def test_a_file_that_cannot_be_had(heatmap, file, refused, tmp_path, typed, quoted):
    file("", "mine.toml")
    (tmp_path / "latin.toml").write_bytes("labels = 'é'".encode("latin-1"))
    refused(heatmap("--config", typed), *quoted)


@pytest.mark.parametrize(("text", "quoted"), [("x = " + "[" * 50_000, "too deeply"), ("x = " + "7" * 5000, "4300")])
def test_a_file_that_its_parser_cannot_take(heatmap, file, refused, text, quoted):
    refused(heatmap("--config", file(text)), quoted)


def test_a_file_without_an_end(heatmap, refused):
    refused(heatmap("--config", "/dev/zero"), "'/dev/zero'", "MB")


def test_a_byte_order_mark_does_no_harm(shown, file):
    assert shown("heatmap", "--config", file("\ufeffalpha = 0.25"))["alpha"] == 0.25


def test_an_error_in_what_was_typed_does_not_blame_the_file(heatmap, file, refused):
    said = refused(heatmap("--config", file("alpha = 0.1"), "--alpha", "thick"), "'thick'")
    assert "my.toml" not in said


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--config", "paper", "--show-config"], 0), (["--config", "papr"], 2), (["--config", "my.toml"], 2)],
)
def test_torch_is_not_imported(file, tmp_path, arguments, status):
    file("colormap = 'viridiss'")
    code = "import sys\nfrom camviz.cli.app import app\ntry: app(['heatmap', *sys.argv[1:]])\nfinally: print(\
sorted({'torch', 'torchvision', 'cv2'} & set(sys.modules)), file=sys.stderr)"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60)
    assert done.returncode == status, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"
