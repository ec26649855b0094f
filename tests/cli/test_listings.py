"""`camviz models`, `methods` and `layers`, and what all commands share."""

from __future__ import annotations

import json
import re

import pytest

from camviz.cli.app import app
from camviz.cli.registry import commands
from camviz.methods import METHODS
from camviz.models.catalog import listings

WRAPPED = """

class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Net()

    def forward(self, x):
        return self.model(x)
"""
CONTRACT = {
    "--model", "--weights", "--checkpoint", "--labels", "--layer", "--method", "--target", "--score",
    "--device", "--precision", "--batch-size", "--output", "--quiet", "--json",
}  # fmt: skip
OF_RUNS = ("restyle", "replay", "report", "export")


def options() -> dict[str, dict[str, object]]:
    """Every command's options by name, with their parameters."""
    import typer

    commands = typer.main.get_command(app).commands
    return {name: {o: p for p in one.params for o in p.opts if o.startswith("-")} for name, one in commands.items()}


def test_every_command_is_there():
    names = {entry.name for entry in commands()}
    assert names == set(options())


def test_heatmap_has_the_options_of_the_contract():
    assert set(options()["heatmap"]) >= CONTRACT


def test_the_same_option_means_the_same_in_every_command():
    seen: dict[str, tuple[str, object, object]] = {}
    for command, named in options().items():
        for option, parameter in named.items():
            if option in CONTRACT - {"--json"} | {"--input-size", "--mean", "--std", "--allow-pickle"}:
                if parameter.default is None and command in (*OF_RUNS, "compare"):
                    continue  # there the run decides, or where it is; and many models have many values
                if (command, option) in (("evaluate", "--output"), ("doctor", "--method")):
                    continue  # its result is its table, files only when they are asked for; and one method, not many
                if option == "--target" and command in ("maximize", "features"):
                    continue  # a class to maximize, or the class of --rank contribution
                text, _, _ = parameter.help.partition(" Default:")  # which is what the command makes of it
                facts = (text, parameter.default, parameter.is_flag)
                assert seen.setdefault(option, facts) == facts, (command, option)


@pytest.mark.parametrize("width", [80, 120])
def test_help_shows_what_to_type_and_no_type_of_python(run, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    for command in [*options(), ""]:
        text = run(*command.split(), "--help").stdout
        assert not re.findall(r"<\w+|list\[|\bbool\b|\[\[|…", text.replace(", …", ""))
        assert max(map(len, text.splitlines())) <= width
        assert "oduct" not in text.replace("product", ""), "a word is broken"


def test_the_default_of_a_shared_option_is_that_of_the_command():
    found = options()
    assert {name for name, one in found.items() if "--model" in one and "Default: demo." in one["--model"].help} == {
        "filters", "maximize", "layers",
    }  # fmt: skip
    assert "Default: the first convolution." in found["filters"]["--layer"].help
    assert "Default: the last layer of each resolution." in found["reconstruct"]["--layer"].help


def test_every_option_has_help():
    for command, named in options().items():
        for option, parameter in named.items():
            assert parameter.help, (command, option)


# models


def test_models_lists_every_one(run):
    result = run("models")
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.stdout.splitlines()[1:]]
    assert [name for name in names if ":" not in name] == ["demo", *listings()]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("resnet1*", ["resnet18", "resnet101", "resnet152"]),
        ("net18", ["quantized_resnet18", "resnet18"]),
        ("RESNET18", ["quantized_resnet18", "resnet18"]),
        ("demo", ["demo"]),
        ("fasterrcnn_resnet*", ["fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2"]),
    ],
)
def test_models_that_match(run, pattern, expected):
    def found(pattern: str) -> list[str]:
        names = [json.loads(line)["name"] for line in run("models", pattern, "--json").stdout.splitlines()]
        return [name for name in names if ":" not in name]

    assert sorted(found(pattern)) == sorted(expected)
    assert found("vit_?_16") == ["vit_b_16", "vit_l_16"]


def test_models_says_what_is_cached(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert json.loads(run("models", "resnet18", "--json").stdout.splitlines()[1])["cached"] == []
    place = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    place.parent.mkdir(parents=True)
    place.touch()
    found = json.loads(run("models", "resnet18", "--json").stdout.splitlines()[1])
    assert found == {
        "name": "resnet18",
        "task": "classification",
        "weights": ["IMAGENET1K_V1"],
        "cached": ["IMAGENET1K_V1"],
    }


def test_models_tells_the_task(run):
    found = {one["name"]: one["task"] for one in map(json.loads, run("models", "--json").stdout.splitlines())}
    assert found["deeplabv3_resnet50"] == "segmentation"
    assert found["maskrcnn_resnet50_fpn"] == "detection"
    assert found["r3d_18"] == "video classification"
    assert found["quantized_resnet18"] == "quantized classification"
    assert found["raft_small"] == "optical flow"


def test_the_weights_of_one_model_are_all_listed(run):
    [_, line] = run("models", "regnet_y_16gf").stdout.splitlines()
    assert line.count("IMAGENET1K") == 4
    assert "IMAGENET1K_V2 (default)" in line


# methods


def test_methods_lists_every_one(run):
    lines = run("methods").stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == METHODS.names()
    found = [json.loads(line) for line in run("methods", "--json").stdout.splitlines()]
    assert [one["name"] for one in found] == METHODS.names()
    assert all(one["summary"] and one["paper"] for one in found)


def test_one_method_in_full(run):
    out = run("methods", "gradcam").stdout
    assert "arXiv:1610.02391" in out
    assert METHODS.find("gradcam").summary in out


# layers


@pytest.fixture
def layers(run, net_file):
    def listing(*arguments: str):
        return run("layers", f"{net_file}:Net", "--input-size", "32", *arguments)

    return listing


def test_layers_lists_paths_shapes_and_stars_the_default(layers, heatmap, write_image, tmp_path):
    found = {one["path"]: one for one in map(json.loads, layers("--json").stdout.splitlines())}
    assert set(found) == {*(f"features.{i}" for i in range(4)), "features", "pool", "fc"}
    assert found["features.0"] == {
        "path": "features.0",
        "kind": "Conv2d",
        "shape": [8, 16, 16],
        "stride": 2.0,
        "parameters": 224,
        "layout": "plain",
        "default": False,
    }
    assert found["fc"]["stride"] is None
    [star] = [path for path, one in found.items() if one["default"]]
    used = json.loads(heatmap(write_image(tmp_path / "a.png"), "--json").stdout)["layer"]
    assert used == star
    [starred] = [line for line in layers().stdout.splitlines() if line.startswith("*")]
    assert starred.split()[1] == star


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--depth", "1"], ["features", "pool", "fc"]),
        (["--filter", "*Conv2d"], ["features.0", "features.2"]),
        (["--filter", "features.[01]"], ["features.0", "features.1"]),
        (["--filter", "fea*", "--depth", "1"], ["features"]),
    ],
)
def test_layers_that_match(layers, arguments, expected):
    found = [json.loads(line)["path"] for line in layers(*arguments, "--json").stdout.splitlines()]
    assert sorted(found) == sorted(expected)


def test_layers_lists_one_level_and_the_default_and_how_to_see_more(layers, net_file, run):
    result = layers()
    assert {"features", "pool", "fc"} < set(re.findall(r"^\*?\s*(\S+)", result.stdout, re.MULTILINE))
    assert result.stdout.count("features.") == 1  # the default layer
    assert "4 of 7 layers" in result.stderr
    assert "--depth 2" in result.stderr
    assert len(layers("--depth", "2").stdout.splitlines()) == 8
    net_file.write_text(net_file.read_text() + WRAPPED)
    inside = run("layers", f"{net_file}:Wrapped", "--input-size", 32).stdout
    assert "model.fc" in inside
    assert "model.features.0" not in inside


def test_layers_needs_no_download(run, monkeypatch):
    monkeypatch.setattr("torch.hub.download_url_to_file", None)
    result = run("layers", "resnet50", "--depth", "1")
    assert result.exit_code == 0
    assert "* layer4" in " ".join(result.stdout.split())


def test_a_listing_in_a_pipe_is_not_cut(run):
    [line] = [line for line in run("models").stdout.splitlines() if line.startswith("vit_b_16 ")]
    assert "IMAGENET1K_SWAG_LINEAR_V1" in line
    assert "…" not in line
