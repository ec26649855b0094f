"""Several processes or machines: which part of the images is computed here."""

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
        typer.Option("--engine", help="ray: processes on this machine or on a cluster.", rich_help_panel="Cluster"),
    ] = "local"
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            help="Running Ray cluster: auto, HOST:PORT or ray://HOST:PORT. Default: starts one on this machine.",
            show_default=False,
            rich_help_panel="Cluster",
        ),
    ] = None
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            min=0,
            help="Processes of --engine ray; 0: one per GPU, or per core.",
            rich_help_panel="Cluster",
        ),
    ] = 0

    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Compute only part I of N, chosen by file name; 'camviz merge' joins the parts. Default: from "
            "torchrun or srun, otherwise 1/1.",
            show_default=False,
            rich_help_panel="Cluster",
        ),
    ] = None

    def check(self) -> None:
        """Raise `RequestError` for options that exclude each other, and for Ray if it is not installed."""
        from camviz.run.distributed.shard import parse_shard

        useless = [f"--address {self.address}"] * bool(self.address) + [f"--workers {self.workers}"] * bool(
            self.workers
        )
        if self.engine == "local" and useless:
            raise RequestError(f"{useless[0]} has no effect with --engine local", f"--engine ray {' '.join(useless)}")
        if self.engine == "ray" and self.shard and parse_shard(self.shard):
            raise RequestError(
                f"--shard '{self.shard}' with --engine ray: Ray divides the images itself",
                f"--shard {self.shard} --engine local, or --engine ray without --shard",
            )
        if self.engine == "ray" and not find_spec("ray"):
            raise RequestError("--engine ray needs Ray, and it is not installed", "pip install 'camviz[ray]'")

    def part(self) -> tuple[Shard | None, str]:
        """Return the shard, None for everything, and the launcher that set it, "" for the command line."""
        from camviz.run.distributed.shard import parse_shard, shard_of

        if self.engine == "ray":
            return None, ""
        if self.shard is not None:
            return parse_shard(self.shard), ""
        return shard_of(os.environ) or (None, "")

    def refuse_parts(self, why: str, ray: bool = True) -> None:
        """Raise `RequestError` with the reason if this process computes a part of the images; `ray`: or if Ray does."""
        if ray and self.engine == "ray":
            raise RequestError(f"--engine ray: {why}", "--engine local computes everything in this process")
        shard, launcher = self.part()
        if shard:
            typed = f"--shard '{self.shard}'" if self.shard else f"{shard} ({launcher})"
            raise RequestError(f"{typed}: {why}", "--shard 1/1 computes everything")
