"""The application: the commands, and the one boundary where errors become two lines and an exit status."""

from __future__ import annotations

import errno
import io
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from camviz import __version__
from camviz.cli.config import configurable, origin
from camviz.cli.console import Console, wants_traceback
from camviz.cli.help import epilog, for_people
from camviz.cli.registry import add_commands, commands
from camviz.cli.signals import INTERRUPTED, READER_LEFT, TERMINATED, Terminated, terminable
from camviz.errors import CamvizError, RequestError, closest


class Boundary(TyperGroup):
    """Turns whatever a command raises into words on stderr and the exit status of the contract."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        extra["standalone_mode"] = False
        status = self._run(*args, **extra)
        if not standalone_mode:
            return status
        sys.exit(status)

    def get_params(self, ctx: Any) -> list[Any]:
        return [for_people(one) for one in super().get_params(ctx)]

    def invoke(self, ctx: Any) -> Any:
        """What Typer would answer with a status of its own, without a word."""
        try:
            with terminable():
                return super().invoke(ctx)
        except BrokenPipeError:  # the reader of stdout left
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return READER_LEFT
        except KeyboardInterrupt as error:
            raise typer.Abort from error

    def _run(self, *args: Any, **extra: Any) -> int:
        console = Console()
        try:
            status = super().main(*args, **extra)
            return status if isinstance(status, int) else 0
        except CamvizError as error:
            console.error(error)
            return error.exit_status
        except TyperException as error:
            if type(error).__name__ != "NoArgsIsHelpError":  # then the help was shown, and says it all
                console.error(_usage(error, [*(extra.get("args") or (args and args[0]) or sys.argv[1:])]))
            return 2
        except typer.Abort as error:
            terminated = isinstance(error.__cause__, Terminated)
            console.error(CamvizError("terminated" if terminated else "interrupted", "run it again to resume"))
            return TERMINATED if terminated else INTERRUPTED
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or wants_traceback():
                return self._unexpected(console, error)
            console.error(CamvizError(f"cannot write: {error.strerror}", "free some space, and run it again to resume"))
            return 2
        except Exception as error:
            return self._unexpected(console, error)

    def _unexpected(self, console: Console, error: Exception) -> int:
        if wants_traceback():
            raise error
        message = f"unexpected {type(error).__name__}: {error}"
        console.error(
            CamvizError(message, "this is a bug in camviz; CAMVIZ_TRACEBACK=1 before the command shows where")
        )
        return 2


def _usage(error: TyperException, typed_words: Sequence[str]) -> CamvizError:
    """A parsing error in our own two lines, with "did you mean" and the help to ask for."""
    context = getattr(error, "ctx", None)
    known = [entry.name for entry in commands()]
    path = " ".join(["camviz", *[one for one in typed_words[:1] if one in known]])
    message = _quoting(error, error.format_message().rstrip("."))
    file = origin(context, getattr(error, "param", None))
    message += f", in {file}" if file else ""
    typed = getattr(error, "option_name", "") or ""
    near: list[str] = list(getattr(error, "possibilities", None) or [])
    if typed and context and not near:
        near = closest(typed, [name for p in context.command.params for name in p.opts if name.startswith("--")])
    if message.startswith("No such command") and context:
        name = message.split("'")[1] if "'" in message else message.rpartition(" ")[2]
        near = closest(name, context.command.commands)
        message = f"no command '{name}'"
        if not near and (os.path.exists(name) or os.path.splitext(name)[1]):
            return RequestError(message, shlex.join(["camviz", "heatmap", *typed_words]))
    elif message.startswith("Got unexpected extra argument"):
        extra = message.rpartition("(")[2].rstrip(")")
        takes = [one.metavar for one in context.command.params if one.param_type_name == "argument"] if context else []
        message = f"'{extra}' is too much for '{path}', which takes {' '.join(takes) or 'no images'}"
    elif typed:
        message = f"no option '{typed}' in '{path}'" if message.startswith("No such option") else message
    mean = f"did you mean {' or '.join(repr(name) for name in near)}? " if near else ""
    only = "; below [heatmap] a setting is for that command alone" if file else ""
    return RequestError(message, f"{mean}'{path} --help' shows what there is{only}")


def _quoting(error: TyperException, message: str) -> str:
    """The message with the refused value in it."""
    details = getattr(error.__cause__, "errors", None)
    message = message.replace("Value error, ", "")
    if not details:
        return message
    typed = str(details()[0].get("input", ""))
    return message if f"'{typed}'" in message else message.replace("Invalid value", f"Invalid value '{typed}'", 1)


app = typer.Typer(
    cls=Boundary,
    name="camviz",
    help="See what a vision model looks at: heatmaps of any PyTorch model, on your images.",
    epilog=epilog("camviz heatmap", "camviz heatmap photo.jpg", "camviz layers resnet50 --depth 1"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"camviz {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


add_commands(app)
configurable(app)


def main() -> None:
    """The console script."""
    for stream in (sys.stdin, sys.stdout):  # file names are bytes: what is not UTF-8 comes and goes unharmed
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")
    app(prog_name="camviz")
