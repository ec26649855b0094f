"""A part of the images of a run, chosen by a hash of their names, so that machines need not communicate."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from camviz.errors import RequestError
from camviz.io.inputs import Input

_ENVIRONMENTS = (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"))  # torchrun, srun
_EXAMPLE = "--shard 2/4 is the second of four"


@dataclass(frozen=True)
class Shard:
    """The images whose names hash to `number` (from 1) of `count`."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"shard {self.number} of {self.count}"

    @property
    def tag(self) -> str:
        """The part of the file name of its database and its lock."""
        return f"shard-{self.number}-of-{self.count}"

    @property
    def option(self) -> str:
        """The option that selects it."""
        return f"--shard {self.number}/{self.count}"


def parse_shard(text: str) -> Shard | None:
    """Return the shard that "2/4" means; None for 1/1, which is everything. Raises `RequestError`."""
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if not match:
        raise RequestError(f"--shard '{text}' is not I/N", _EXAMPLE)
    number, count = int(match[1]), int(match[2])
    if not 1 <= number <= count:
        raise RequestError(f"--shard '{text}': there are the shards 1 to {count}", _EXAMPLE)
    return Shard(number, count) if count > 1 else None


def shard_of(environment: Mapping[str, str]) -> tuple[Shard, str] | None:
    """Return the shard that torchrun or srun set, and the variables it was read from; None for a single process."""
    for names in _ENVIRONMENTS:
        rank, size = (environment.get(name, "") for name in names)
        if rank.isdecimal() and size.isdecimal() and int(rank) < int(size) and int(size) > 1:
            return Shard(int(rank) + 1, int(size)), f"{names[0]}={rank}, {names[1]}={size}"
    return None


def place_of(name: str) -> int:
    """Return a 64-bit hash of a name."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=8).digest(), "big")


def home(name: str, count: int) -> int:
    """Return which of `count` shards an image belongs to, from 1."""
    return place_of(name) % count + 1


@dataclass
class Share:
    """The images of one shard in a listing, and a digest of the whole listing, which `merge` compares."""

    shard: Shard
    listed: int = 0
    taken: int = 0
    _sum: int = field(default=0, repr=False)

    def of(self, listing: Iterable[Input]) -> Iterator[Input]:
        """Yield the inputs of this shard."""
        self.listed = self.taken = self._sum = 0
        for source in listing:
            place = place_of(source.name)
            self.listed += 1
            self._sum = (self._sum + place) % 2**64
            if place % self.shard.count + 1 == self.shard.number:
                self.taken += 1
                yield source

    @property
    def digest(self) -> str:
        """The digest of all listed names, in any order."""
        return f"{self._sum:016x}"
