"""The job of a run: one type for all commands, with the settings of its command as payload."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from camviz.io.inputs import Input
from camviz.run.database.database import key_of
from camviz.run.database.records import Record
from camviz.types import Model, ModelRequest, Request

if TYPE_CHECKING:
    from camviz.run.context import RunContext

Load = Callable[[int], Model]  # loads the model of that number
Tick = Callable[[int, int], None]  # is called with the steps of one image that are done, and all of them


@dataclass(eq=False)
class Task:
    """A job with its models loaded. `records` runs inputs through them; each record's files are complete.

    `notes` are to be printed; `layers` of `model` were chosen by default. `skipped` are the methods that the model
    cannot run, and why; it fills up while images are computed.
    """

    records: Callable[[Iterable[Input], RunContext], Iterator[Record]]
    notes: list[str] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)
    model: str = ""
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """The settings of a command over images: what it computes, what it draws, and how.

    Plain values, so that another process can run them. `request` has the model, layers, targets and device.
    """

    request: Request

    command: ClassVar[str]
    clips: ClassVar[bool] = False  # whether models that take clips of video are allowed

    @property
    def models(self) -> tuple[ModelRequest, ...]:
        """The models that are loaded."""
        return (self.request.model,)

    @property
    def model_names(self) -> tuple[str, ...]:
        """The names of several models."""
        return ("",)

    @property
    def drawn_later(self) -> bool:
        """Whether files are drawn after all images, from the maps in the run database."""
        return False

    @property
    def together(self) -> bool:
        """Whether one missing image means that all images are computed again."""
        return False

    def values(self) -> dict[str, Any]:
        """Return the settings that the run database keeps; they decide the resume key."""
        return asdict(self.request)


@dataclass(frozen=True)
class Job:
    """The settings of a command, and `contents`: digests of the model's files. Its key is the resume key."""

    settings: Settings
    contents: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """The name of the command."""
        return self.settings.command

    @property
    def values(self) -> dict[str, Any]:
        """The settings as the run database keeps them."""
        return {**self.settings.values(), "contents": dict(self.contents)}

    @property
    def key(self) -> str:
        """The resume key: jobs with the same key make the same files."""
        return key_of(self.command, self.values)
