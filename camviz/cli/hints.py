"""Hints for what people type first: names of other tools' options, a model or a method in the place of a command.

A hint that is a command works when it is typed. Nothing here imports torch.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from camviz.cli.names import METHOD, METRIC, MODEL
from camviz.errors import RequestError, closest, did_you_mean, fold, match

# Options of other tools, folded, without hyphens: what to type here. The first line whose options all exist is taken;
# of those, what stands after the last # is only needed to be there. {} is the value.
_FOREIGN = {
    **dict.fromkeys(("image", "imagepath", "images", "img", "imgpath", "input", "inputs", "source"), ("{}",)),
    **dict.fromkeys(
        ("out", "outputdir", "outdir", "outputfolder", "outputpath", "savedir", "savepath"), ("--output {}",)
    ),
    **dict.fromkeys(("cam", "cammethod", "algorithm", "explainer"), ("--method {}",)),
    **dict.fromkeys(("usecuda", "cuda"), ("--device cuda",)),
    **dict.fromkeys(("gpu", "gpus", "gpuid"), ("--device cuda:{}",)),
    "cpu": ("--device cpu",),
    **dict.fromkeys(("targetlayer", "targetlayers", "layers", "layername"), ("--layer {}",)),
    **dict.fromkeys(("class", "classidx", "classid", "classindex", "targetclass", "targetcategory"), ("--target {}",)),
    **dict.fromkeys(("topk", "k"), ("--target top{} # --method", "--top {}")),
    **dict.fromkeys(("arch", "a", "architecture", "backbone", "network", "net", "modelname"), ("--model {}",)),
    "pretrained": ("--weights default",),
    "cmap": ("--colormap {}",),
    **dict.fromkeys(("imgsize", "imgsz", "imagesize", "resolution"), ("--input-size {}",)),
    **dict.fromkeys(("conf", "confidence", "confthres", "scorethreshold"), ("--min-score {}",)),
    **dict.fromkeys(("ckpt", "checkpointpath"), ("--checkpoint {}",)),
    **dict.fromkeys(("classnames", "names"), ("--labels {}",)),
}
_OFF = {"--device cuda": "--device cpu", "--weights default": "--weights none"}  # for a flag that is given "false"
_SWITCH = {"true": True, "false": False}


@dataclass(frozen=True)
class Line:
    """What was typed after `camviz`: `options` of its command with whether they take a value, and its arguments."""

    words: tuple[str, ...]
    command: str = ""
    commands: tuple[str, ...] = ()
    options: Mapping[str, bool] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The part of the line that names the command."""
        return f"camviz {self.command}".strip()


@dataclass(frozen=True)
class Refusal:
    """What Typer refuses: its message, an option that does not exist, the configuration file of the value."""

    message: str
    option: str = ""
    file: str = ""


def explain(line: Line, refusal: Refusal) -> RequestError:
    """Return the error for a line that cannot be parsed, with a line that can."""
    if refusal.message.startswith("No such command"):
        return _no_command(line)
    message = refusal.message + (f", in {refusal.file}" if refusal.file else "")
    help_text = f"'{line.path} --help{'-all' if line.command else ''}' lists the options"
    if refusal.message.startswith("No such option"):
        message = f"no option '{refusal.option}' in '{line.path}'"
        if corrected := _with_our_options(line):
            return RequestError(message, corrected)
        near = closest(refusal.option, [name for name in line.options if name.startswith("--")])
        return RequestError(message, " ".join(filter(None, [did_you_mean(near), help_text])))
    if refusal.message.startswith("Got unexpected extra argument"):
        extra = refusal.message.rpartition("(")[2].rstrip(")")
        return RequestError(f"'{extra}' is not expected: '{line.path}' takes {_taken(line)}", help_text)
    if refusal.file:
        help_text += "; a setting below [heatmap] applies to that command only"
    return RequestError(message, help_text)


def _taken(line: Line) -> str:
    return " ".join(line.arguments) or "no images"


# options of other tools


def _with_our_options(line: Line) -> str:
    """The whole line with each option that is not ours replaced by ours; "" if one of them is not known."""
    start = line.words.index(line.command) + 1 if line.command in line.words else 0
    words, rest = list(line.words[:start]), list(line.words[start:])
    images: list[str] = []
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            words += [word, *rest]
            break
        joined = not name.startswith("--") and name[:2] in line.options  # -oFOLDER
        if name in line.options or joined or not name.startswith("-") or name == "-":
            words.append(word)
            if line.options.get(name) and not equals and rest:
                words.append(rest.pop(0))  # its value, whatever it looks like
            continue
        values = [value] if equals else rest
        replacement = _replacement(line, name, values)
        if replacement is None:
            return ""
        (images if replacement and not replacement[0].startswith("-") else words).extend(replacement)
        if not equals:
            rest = values
    return shlex.join(["camviz", *words[:start], *images, *words[start:]])


def _replacement(line: Line, name: str, values: list[str]) -> list[str] | None:
    """Our words for another tool's option; takes its value off `values`. None if there are none."""
    ours = match("option", name, line.options)
    if ours:
        templates: tuple[str, ...] = (f"{ours} {{}}" if line.options[ours] else ours,)
    else:
        templates = _FOREIGN.get(fold(name), ())
    for template in templates:
        typed, _, needed = template.partition(" # ")
        option = typed.split()[0]
        if (option in line.options or (option == "{}" and line.arguments)) and (not needed or needed in line.options):
            return _filled(typed, values)
    return None


def _filled(template: str, values: list[str]) -> list[str] | None:
    """The words of a template with its value; a flag may be followed by true or false."""
    if "{}" not in template:
        wanted = _SWITCH[values.pop(0).lower()] if values and values[0].lower() in _SWITCH else True
        return (template if wanted else _OFF.get(template, "")).split()
    if template.endswith(":{}") and not (values and values[0].isdecimal()):
        return template.removesuffix(":{}").split()
    if not values or values[0].startswith("-"):
        return None
    value = values.pop(0)
    return [word.format(value) for word in template.split()]


# what stands in the place of a command


_MEANT = ((METHOD, "heatmap", "--method"), (MODEL, "heatmap", "--model"), (METRIC, "evaluate", "--metric"))


def _no_command(line: Line) -> RequestError:
    """The error for a first word that is no command."""
    name, rest = line.words[0], line.words[1:]
    message = f"no command '{name}'"
    command = match("command", name, line.commands)
    if command:
        return RequestError(message, shlex.join(["camviz", command, *rest]))
    if name in ("help", "version"):
        topic = [word for word in rest[:1] if word in line.commands] if name == "help" else []
        return RequestError(message, shlex.join(["camviz", *topic, f"--{name}"]))
    for names, used, option in _MEANT:
        value = names.find(name)
        if value:
            return RequestError(message, shlex.join(["camviz", used, *rest, option, value]))
    if _is_model(name):
        return RequestError(message, shlex.join(["camviz", "heatmap", *rest, "--model", name]))
    near = closest(name, line.commands)
    if not near and (os.path.exists(name) or os.path.splitext(name)[1]):
        return RequestError(message, shlex.join(["camviz", "heatmap", *line.words]))
    return RequestError(message, " ".join(filter(None, [did_you_mean(near), "'camviz --help' lists the commands"])))


def _is_model(text: str) -> bool:
    """Whether a text can only be a model: a Python file with a name in it, or a file of weights."""
    from camviz.models.checkpoint import SUFFIXES

    return ".py:" in text or text.endswith((".py", *SUFFIXES))


# what stands in the place of an image


def check_arguments(line: Line, images: Sequence[str]) -> None:
    """Refuse images that are not there and can only be a model, a method or a path of another shell."""
    for image in images:
        if image == "-" or any(sign in image for sign in "*?[") or os.path.lexists(image):
            continue
        if image.startswith("~"):
            path = os.path.expanduser(image)
            if os.path.exists(path):
                raise RequestError(
                    f"no file '{image}': ~ stands for a folder only without quotes", _without(line, image, path)
                )
        if os.name != "nt" and re.match(r"[A-Za-z]:(?!//)", image):
            raise _windows(line, image)
        _check_meaning(line, image)


def _check_meaning(line: Line, image: str) -> None:
    for names, noun, short, option in ((METHOD, "method", "", "--method"), (MODEL, "model", "-m", "--model")):
        if option not in line.options or {option, short} & set(line.words):
            continue
        value = image if names is MODEL and _is_model(image) else names.find(image)
        if value:
            raise RequestError(f"'{image}' is a {noun}, not an image", _without(line, image, option=[option, value]))


def _without(line: Line, image: str, path: str = "", option: Sequence[str] = ()) -> str:
    """The whole line with an image left out, or with another path for it, and with an option."""
    words = list(line.words)
    at = words.index(image)
    words[at : at + 1] = [path] if path else []
    return shlex.join(["camviz", *words, *option])


def _windows(line: Line, image: str) -> RequestError:
    """The error for a path with a drive letter on another system."""
    path = Path(f"/mnt/{image[0].lower()}", *re.split(r"[\\/]", image[2:].lstrip("\\/")))
    message = f"no file '{image}': it is a path of Windows, and this is {os.uname().sysname}"
    if path.exists():
        return RequestError(message, _without(line, image, str(path)))
    return RequestError(message, f"the path of the file on this machine; under WSL {path}")
