"""All that reaches into Typer beyond its public functions: commands and parameters of our own, and what Typer refuses.

pyproject.toml pins Typer below the next minor version, because its classes and exceptions may change with it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.exceptions import TyperException

from camviz.cli.console import Console, StdoutError, wants_traceback
from camviz.cli.hints import Line, Refusal, check_arguments, explain
from camviz.cli.names import Names, choices
from camviz.cli.signals import INTERRUPTED, READER_LEFT, TERMINATED, Terminated, terminable
from camviz.cli.single_file import names_file
from camviz.cli.streams import discard_stdout
from camviz.errors import CamvizError, RequestError, RunError, system_error

_WIDTH = 16  # columns of a list of choices
_VALUES = {int: "N", float: "NUMBER", Path: "PATH"}
_WORDS = "camviz.words"  # in a context: everything that was typed after the name of the program
FILES = "camviz.files"  # in a context: the configuration file that each parameter's value came from
_ORDER = "camviz.order"  # in a context: the parameters in the order in which they were typed
_ALL = "camviz.all"  # in a context: whether the help shows every option
PANELS = (
    "Metrics",
    "Method",
    "Model",
    "Computing",
    "Drawing",
    "Output",
    "Configuration",
    "Cluster",
)  # of --help-all, in order
EVERYDAY = (
    "--method",
    "--model",
    "--checkpoint",
    "--labels",
    "--layout",
    "--colormap",
    "--device",
    "--output",
    "--config",
    "--help-all",
)
_FEW = 14  # parameters that are shown even in the short help


class _Option(TyperOption):
    """An option that shows what to type in the help, and accepts names in any spelling."""

    def display_type_rich(self, ctx: Any) -> str:
        """Return what stands for the value in the help."""
        return "" if self.is_flag else _displayed(self)

    def process_value(self, ctx: Any, value: Any) -> Any:
        """Convert a typed or configured value."""
        return super().process_value(ctx, _canonical(self, value))


class _Argument(TyperArgument):
    """An argument that accepts names in any spelling."""

    def display_type_rich(self, ctx: Any) -> str:
        """Return nothing: the metavar alone stands for an argument in the help."""
        return ""

    def process_value(self, ctx: Any, value: Any) -> Any:
        """Convert a typed value."""
        return super().process_value(ctx, _canonical(self, value))


def _displayed(option: Any) -> str:
    """What stands for the value of an option in the help: its metavar, the choices, N, or a word of its name."""
    descriptor = option.type_descriptor
    if option.metavar is not None:
        return str(option.metavar)
    if descriptor.is_choice:
        return "\n".join(wrap("|".join(map(str, descriptor.choices)).replace("|", "| "), _WIDTH)).replace("| ", "|")
    return _VALUES.get(descriptor.annotation) or str(max(option.opts, key=len).rpartition("-")[2].upper())


def _names(parameter: Any) -> Names | None:
    """The names that a value is one of, if they are declared by a `Literal` or by `autocompletion=Names.complete`."""
    descriptor = parameter.type_descriptor
    if descriptor.is_choice:
        return choices(f"value of {max(parameter.opts, key=len)}", *map(str, descriptor.choices))
    names = getattr(descriptor.parameter_info.autocompletion, "__self__", None)
    return names if isinstance(names, Names) else None


def _canonical(parameter: Any, value: Any) -> Any:
    """A value with its names spelled as they are registered."""
    names = None if value is None or value == parameter.default else _names(parameter)
    if names is None:
        return value
    return names.canonical(value) if isinstance(value, str) else [names.canonical(str(text)) for text in value]


def _adapted(parameters: list[Any]) -> list[Any]:
    """Make the parameters that Typer has built ours."""
    for parameter in parameters:
        parameter.__class__ = _Argument if isinstance(parameter, TyperArgument) else _Option
    return parameters


class Command(TyperCommand):
    """A command: its help shows the everyday options, with --help-all every option."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters."""
        return _adapted(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what was typed after the command, and refuse arguments that were meant otherwise."""
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            _fit_format(ctx)
            root = ctx.find_root()
            check_arguments(_line(root.command, root.meta[_WORDS]), ctx.params.get("images") or ())
        return rest

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help: the options that matter most in one panel, or all of them in panels."""
        shown = copy(self)
        panels = {parameter: getattr(parameter, "rich_help_panel", None) for parameter in self.params}
        if ctx.meta.get(_ALL) or len(self.params) <= _FEW:
            shown.params = sorted(
                self.params, key=lambda one: PANELS.index(panels[one] or PANELS[0]) if panels[one] else -1
            )
        else:
            rank = {name: number for number, name in enumerate(EVERYDAY)}
            first = [one for one in self.params if not panels[one]]
            everyday = [copy(one) for one in self.params if panels[one] and set(one.opts) & rank.keys()]
            for one in everyday:
                one.rich_help_panel = None  # type: ignore[attr-defined]  # a panel is Typer's addition
            everyday.sort(key=lambda one: min(rank[name] for name in one.opts if name in rank))
            shown.params = first + everyday
            shown.epilog = (
                f"'camviz {self.name} --help-all' lists all {len(self.params)} options.\n\n{self.epilog or ''}"
            )
        TyperCommand.format_help(shown, ctx, formatter)


def _fit_format(context: Any) -> None:
    """Take the format from the suffix of `--output x.jpg`. Raises `RequestError` if another one was typed."""
    output = context.params.get("output")
    [option] = [parameter for parameter in context.command.params if parameter.name == "format"] or [None]
    if not isinstance(output, Path) or not names_file(output) or option is None or option.type_descriptor.is_choice:
        return
    suffix = output.suffix.lower().removeprefix(".")
    if is_typed(context, "format") and context.params["format"] != suffix:
        typed = context.params["format"]
        raise RequestError(f"--format {typed} with --output '{output}'", f"--output {output.with_suffix(f'.{typed}')}")
    context.params["format"] = suffix


class Ordered(Command):
    """A command that knows in which order its options were typed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments and remember the order of the options."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[_ORDER] = [parameter.name for parameter in order]
        return super().parse_args(ctx, args)


def order_of(context: Any) -> list[str]:
    """Return the names of the parameters of an `Ordered` command in the order in which they were typed."""
    return list(context.meta.get(_ORDER, ()))


def origin(context: Any, parameter: Any) -> str:
    """Return the configuration file that a parameter's value came from, "" for the command line."""
    if context is None or parameter is None:
        return ""
    source = context.get_parameter_source(parameter.name)
    return context.meta.get(FILES, {}).get(parameter.name, "") if source and source.name == "DEFAULT_MAP" else ""


def is_typed(context: typer.Context, name: str) -> bool:
    """Return whether a parameter was typed on the command line, not read from a file or left at its default."""
    source = context.get_parameter_source(name)
    return bool(source and source.name == "COMMANDLINE")


def _show_all(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        context.meta[_ALL] = True
        print(context.get_help())
        raise typer.Exit


HelpAll = Annotated[
    bool,
    typer.Option(
        "--help-all",
        is_eager=True,
        callback=_show_all,
        help="Show all options and exit.",
        rich_help_panel="Configuration",
    ),
]


class Application(TyperGroup):
    """The commands. Turns whatever they raise into two lines on stderr and the exit status of the contract."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters."""
        return _adapted(super().get_params(ctx))

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run the command line; exit with its status, or return it if not `standalone_mode`."""
        status = self._run(*args, **extra, standalone_mode=False)
        if not standalone_mode:
            return status
        sys.exit(status)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options before the command."""
        ctx.meta[_WORDS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command; handle what Typer would answer with a status of its own and no message."""
        try:
            with terminable():
                return super().invoke(ctx)
        except BrokenPipeError:  # the reader of stdout left
            discard_stdout()
            return READER_LEFT
        except StdoutError:
            discard_stdout()
            raise
        except KeyboardInterrupt as error:
            raise typer.Abort from error
        except SystemExit as error:  # of the user's code; commands return their status
            hint = "CAMVIZ_TRACEBACK=1 before the command shows where"
            raise RunError(f"the code of the model called sys.exit({error.code!r})", hint) from error

    def _run(self, *args: Any, **extra: Any) -> int:
        console = Console()
        try:
            status = super().main(*args, **extra)
            sys.stdout.flush()
            return status if isinstance(status, int) else 0
        except BrokenPipeError:  # the reader of stdout left
            discard_stdout()
            return READER_LEFT
        except CamvizError as error:
            console.error(error)
            return error.exit_status
        except TyperException as error:
            if type(error).__name__ != "NoArgsIsHelpError":  # then the help has been printed
                words = extra.get("args") or (args and args[0]) or sys.argv[1:]
                console.error(explain(_line(self, words), _refusal(error)))
            return 2
        except typer.Abort as error:
            terminated = isinstance(error.__cause__, Terminated)
            message = "terminated" if terminated else "interrupted"
            console.error(CamvizError(message, "run it again to resume"))
            return TERMINATED if terminated else INTERRUPTED
        except Exception as error:
            return _unexpected(console, error)


def _unexpected(console: Console, error: Exception) -> int:
    if wants_traceback():
        raise error
    bug = f"unexpected {type(error).__name__}: {error}", "this is a bug in camviz; set CAMVIZ_TRACEBACK=1 to see where"
    message, hint = system_error(error) or bug
    console.error(CamvizError(message, hint))
    discard_stdout()
    return 2


def _line(root: Any, words: Sequence[str]) -> Line:
    """What was typed, with the commands and options that it could have named."""
    name = next((word for word in words if not word.startswith("-")), "")
    command = root.commands.get(name, root)
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    return Line(
        tuple(words),
        "" if command is root else name,
        tuple(root.commands),
        {name: not option.is_flag for option in options for name in (*option.opts, *option.secondary_opts)},
        tuple(one.metavar or "" for one in command.params if one.param_type_name == "argument"),
    )


def _refusal(error: TyperException) -> Refusal:
    """What Typer refuses, and why."""
    message = error.format_message().rstrip(".").replace("Value error, ", "")
    details = getattr(error.__cause__, "errors", None)
    if details and f"'{(typed := str(details()[0].get('input', '')))}'" not in message:
        message = message.replace("Invalid value", f"Invalid value '{typed}'", 1)
    file = origin(getattr(error, "ctx", None), getattr(error, "param", None))
    return Refusal(message, getattr(error, "option_name", "") or "", file)
