"""`--config`: options from TOML files. The command line wins over the file, the file over the default."""

from __future__ import annotations

import inspect
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from camviz.cli.console import Console
from camviz.cli.names import Names
from camviz.cli.option_groups import with_signature
from camviz.cli.typer_internals import FILES, HelpAll, is_typed
from camviz.errors import RequestError, closest, unknown
from camviz.io.texts import read_text, reason_of

_OWN = ("config", "show-config", "help", "help-all")  # options that a file cannot set


def preset_folder() -> Path:
    """Return the folder of the presets: inside an installed package, beside it in a checkout."""
    here = Path(__file__).resolve()
    installed = here.with_name("configs")
    return installed if installed.is_dir() else here.parents[2] / "configs"


def presets() -> dict[str, Path]:
    """Return the presets: files that come with camviz, by name."""
    return {path.stem: path for path in sorted(preset_folder().glob("*.toml"))}


@dataclass(frozen=True)
class ConfigFile:
    """One TOML file: `shared` applies to every command that has the option, `sections` to one command each."""

    name: str
    shared: Mapping[str, Any]
    sections: Mapping[str, Mapping[str, Any]]

    def values(self, command: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values for one command by parameter name, as they would be typed."""
        own = {key: value for key, value in self.shared.items() if key in options}
        own |= self.sections.get(command, {})
        return {
            options[key].name: _as_typed(options[key], value, f"'{key}' in {self.name}") for key, value in own.items()
        }


def read_config(text: str, commands: Mapping[str, Mapping[str, Any]], asking: str) -> ConfigFile:
    """Read a file or preset for the command `asking`; `commands` maps each command to its options by key.

    Raises `RequestError` for a missing file, invalid TOML or a key that is not an option.
    """
    path = presets().get(text, Path(text))
    name = f"'{text}'"
    shared: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    everything = list(dict.fromkeys(key for options in commands.values() for key in options))
    for key, value in _keys(_parse(path, text), name):
        if key in commands and isinstance(value, dict):
            options, place = commands[key], f"[{key}] of {name}"
            sections[key] = dict(_keys(value, place))
            for inner in sections[key]:
                if inner not in options:
                    raise unknown("option", inner, options, place, f"'camviz {key} --help'")
        elif key in everything:
            shared[key] = value
        elif key in commands:
            raise RequestError(f"'{key}' in {name} is a command, not an option", f"[{key}] begins its section")
        elif isinstance(value, dict):
            raise unknown("section", key, commands, name, "'camviz --help'")
        else:
            raise unknown("option", key, [*everything, *commands], name, f"'camviz {asking} --help'")
    return ConfigFile(name, shared, sections)


def _parse(path: Path, typed: str) -> dict[str, Any]:
    if not os.path.lexists(path):
        raise _missing(typed)
    text = read_text(path, "config file", _listing())
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of over 4300 digits
        reason = reason_of(error)
        raise RequestError(f"config file '{typed}' is not TOML: {reason}", _wrong_line(text, reason)) from error


def _missing(typed: str) -> RequestError:
    """The error for a missing file; presets are named without a suffix."""
    near = closest(typed.removesuffix(".toml"), presets()) or closest(typed, [p.name for p in Path().glob("*.toml")])
    mean = f"did you mean {' or '.join(f'--config {name}' for name in near)}? " if near else ""
    return RequestError(f"no config file '{typed}'", mean + _listing())


def _listing() -> str:
    return f"--config takes a TOML file or one of {', '.join(presets())}"


def _wrong_line(text: str, error: str) -> str:
    """A hint that shows the line; missing quotes are the most frequent mistake."""
    found = re.search(r"at line (\d+)", error)
    line = text.splitlines()[int(found[1]) - 1].strip() if found else ""
    bare = re.fullmatch(r"([\w-]+)\s*=\s*([^\"'\[\]{}#]+)", line)
    if bare:
        return f"line {found[1] if found else ''}, with quotes: {bare[1]} = {json.dumps(bare[2].strip())}"
    return f"line {found[1]}: {line}" if found else 'a line is: model = "resnet50"'


def _keys(table: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    """The entries by option name: batch_size is batch-size."""
    seen: dict[str, str] = {}
    for key, value in table.items():
        name = key.replace("_", "-")
        if name in seen:
            raise RequestError(f"'{seen[name]}' and '{key}' in {place} are the same option", f"keep '{name}'")
        seen[name] = key
        yield name, value


def _as_typed(parameter: Any, value: Any, where: str) -> Any:
    """A value of the file as it would be typed, so that both are checked alike."""
    if parameter.multiple:
        if isinstance(value, dict):  # set = {samples = 50}
            return [f"{key}={_text(item, where)}" for key, item in value.items()]
        return [_text(item, where) for item in (value if isinstance(value, list) else [value])]
    return ",".join(_text(item, where) for item in value) if isinstance(value, list) else _text(value, where)


def _text(value: Any, where: str) -> str:
    if isinstance(value, (dict, list)):
        raise RequestError(
            f"{where} is a {'table' if isinstance(value, dict) else 'list'}, not a value", "give one value"
        )
    return str(value).lower() if isinstance(value, bool) else str(value)


def options_of(command: Any) -> dict[str, Any]:
    """Return a command's options, as Typer's parameters, by their key in a file."""
    keys = {max(option.opts, key=len)[2:]: option for option in command.params if option.param_type_name == "option"}
    return {key: option for key, option in keys.items() if key not in _OWN}


def _load(context: typer.Context, typed: list[str] | None) -> list[str] | None:
    """Make the values of the files the defaults of the command; a later file wins over an earlier one."""
    if context.resilient_parsing:
        return typed
    root: Any = context.find_root().command
    commands = {name: options_of(command) for name, command in root.commands.items()}
    name = context.command.name or ""
    for text in typed or ():
        file = read_config(text, commands, name)
        values = file.values(name, commands[name])
        context.default_map = {**(context.default_map or {}), **values}
        context.meta.setdefault(FILES, {}).update(dict.fromkeys(values, file.name))
    return typed


def refuse_typed(context: typer.Context, name: str, beside: str) -> None:
    """Raise `RequestError` for an option that was typed beside one that makes it useless; one from a file may stay."""
    if is_typed(context, name):
        option = f"--{name.replace('_', '-')} {context.params[name]}"
        raise RequestError(f"{option} has no effect with {beside}", f"leave out {option}")


def to_toml(command: str, options: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Return a section with the value of every option; those that are not set are comments."""
    lines = [f"[{command}]"]
    for key, parameter in options.items():
        value = values[parameter.name]
        unset = value is None or value == [] or value == ()
        lines.append(f"# {key} is not set" if unset else f"{key} = {_toml(value)}")
    return "\n".join(lines)


def _toml(value: Any) -> str:
    """A value as TOML: JSON is TOML except for the character DEL."""
    plain = value if isinstance(value, (bool, int, float, list, tuple)) else str(value)
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")


Config = Annotated[
    list[str] | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        is_eager=True,
        callback=_load,
        help=f"Options from a TOML file or a preset: {', '.join(presets())}. Typed options win. Repeatable.",
        autocompletion=Names("preset", lambda _: presets()).complete,
        show_default=False,
        rich_help_panel="Configuration",
    ),
]
ShowConfig = Annotated[
    bool,
    typer.Option("--show-config", help="Print the options in effect as a TOML file.", rich_help_panel="Configuration"),
]


def configurable(app: typer.Typer) -> None:
    """Give every command of the application --config, --show-config and --help-all."""
    for info in app.registered_commands:
        assert info.callback
        info.callback = _configured(info.callback)


def _configured(command: Callable[..., Any]) -> Callable[..., Any]:
    asked = _parameters(command)
    wants = any(parameter.name == "context" for parameter in asked)

    def run(
        context: typer.Context,
        config: Config = None,
        show_config: ShowConfig = False,
        help_all: HelpAll = False,
        **values: Any,
    ) -> Any:
        if not show_config:
            return command(**values, **({"context": context} if wants else {}))
        Console().result(to_toml(context.command.name or "", options_of(context.command), context.params))
        return None

    own = [parameter for parameter in _parameters(run) if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    return with_signature(
        run, command, [own[0], *(parameter for parameter in asked if parameter.name != "context"), *own[1:]]
    )


def _parameters(function: Callable[..., Any]) -> Sequence[inspect.Parameter]:
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    return [parameter.replace(annotation=hints.get(parameter.name, Any)) for parameter in parameters]
