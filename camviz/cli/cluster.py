"""Beyond one process: the options that say which part of the pictures is done here, and by whom."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from camviz.errors import RequestError

if TYPE_CHECKING:
    from camviz.run.shard import Shard


@dataclass
class ClusterOptions:
    """Which part of the pictures, on which machines."""

    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Only this part of the pictures, chosen by their names; 'camviz merge' joins the parts. "
            "Default: as torchrun or srun say; 1/1 is everything.",
            show_default=False,
            rich_help_panel="Cluster",
        ),
    ] = None

    def part(self) -> tuple[Shard | None, str]:
        """The shard, None for everything; and who asked for it, where the command line did not."""
        from camviz.run.shard import parse_shard, shard_of

        if self.shard is not None:
            return parse_shard(self.shard), ""
        return shard_of(os.environ) or (None, "")

    def refuse_parts(self, why: str) -> None:
        """Raise `RequestError` for what cannot be done in parts."""
        shard, said = self.part()
        if shard:
            typed = f"--shard '{self.shard}'" if self.shard else f"{shard} ({said})"
            raise RequestError(f"{typed}: {why}", "--shard 1/1 does everything here")
