"""Beyond one process: the options that say which part of the images is done here, and by whom."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from camviz.errors import RequestError

if TYPE_CHECKING:
    from camviz.run.distributed.shard import Shard


@dataclass
class ClusterOptions:
    """Which part of the images, on which machines."""

    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(
            "--engine", help="ray: a pool of processes on this machine, or on a cluster.", rich_help_panel="Cluster"
        ),
    ] = "local"
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            help="Of a running Ray cluster: auto, HOST:PORT or ray://HOST:PORT. Default: one is started here.",
            show_default=False,
            rich_help_panel="Cluster",
        ),
    ] = None
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            min=0,
            help="Processes of --engine ray; 0: one for each GPU, or core.",
            rich_help_panel="Cluster",
        ),
    ] = 0

    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Only this part of the images, chosen by their names; 'camviz merge' joins the parts. "
            "Default: as torchrun or srun say; 1/1 is everything.",
            show_default=False,
            rich_help_panel="Cluster",
        ),
    ] = None

    def check(self) -> None:
        """Refuse what does not go together, and Ray where it is not installed."""
        from camviz.run.distributed.shard import parse_shard

        given = [f"--address {self.address}"] * bool(self.address) + [f"--workers {self.workers}"] * bool(self.workers)
        if self.engine == "local" and given:
            raise RequestError(f"{given[0]} says nothing to --engine local", f"--engine ray {' '.join(given)}")
        if self.engine == "ray" and self.shard and parse_shard(self.shard):
            raise RequestError(
                f"--shard '{self.shard}' with --engine ray: Ray divides the images itself", "one of them alone"
            )
        if self.engine == "ray" and not find_spec("ray"):
            raise RequestError("--engine ray needs Ray, and it is not installed", "pip install 'camviz[ray]'")

    def part(self) -> tuple[Shard | None, str]:
        """The shard, None for everything; and who asked for it, where the command line did not."""
        from camviz.run.distributed.shard import parse_shard, shard_of

        if self.engine == "ray":
            return None, ""
        if self.shard is not None:
            return parse_shard(self.shard), ""
        return shard_of(os.environ) or (None, "")

    def refuse_parts(self, why: str, ray: bool = True) -> None:
        """Raise `RequestError` for what cannot be done in parts; `ray`: not by Ray either."""
        if ray and self.engine == "ray":
            raise RequestError(f"--engine ray: {why}", "--engine local does everything here")
        shard, said = self.part()
        if shard:
            typed = f"--shard '{self.shard}'" if self.shard else f"{shard} ({said})"
            raise RequestError(f"{typed}: {why}", "--shard 1/1 does everything here")
