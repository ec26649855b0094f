"""Join the databases of all shards into the one that a single run would have written."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camviz.errors import OutputError
from camviz.io.paths import is_remote
from camviz.run.database.database import Database, database_path, shard_databases
from camviz.run.database.rows import JobRow
from camviz.run.distributed.shard import Shard, home
from camviz.run.output.files import write_file
from camviz.run.output.folder import OutputFolder


@dataclass(frozen=True)
class Merged:
    """The joined database, the number of shards, and the numbers of images of the newest job."""

    path: Path
    shards: int
    done: int
    failed: int
    notes: Sequence[str] = ()


def merge(folder: Path) -> Merged:
    """Join the databases of all shards, then remove them.

    Raises `OutputError` and changes nothing unless all shards are present, complete, of the same jobs and images, and
    each image is in the shard that its name selects. Where all are joined already, nothing is left to do.
    """
    if _joined(folder):
        return _merged(folder, 0, [])
    shards = find_shards(folder)
    with ExitStack() as stack:
        output = stack.enter_context(OutputFolder(folder))  # no shard is still running
        databases = {shard: stack.enter_context(Database(folder, shard=shard.tag)) for shard in shards}
        before = stack.enter_context(Database(folder)) if database_path(folder).exists() else None
        rows = _same_jobs(folder, databases)
        for key in rows[shards[0]]:
            _complete(databases, {shard: rows[shard][key] for shard in shards}, before)
        merged = _join(output.parts, [one.file for one in (before, *databases.values()) if one])
        if is_remote(folder):
            write_file(database_path(folder), merged.read_bytes())
        else:
            os.replace(merged, database_path(folder))
        for database in databases.values():
            database.path.unlink()
    return _merged(folder, len(shards), _versions(rows))


def _merged(folder: Path, shards: int, notes: Sequence[str]) -> Merged:
    with Database(folder) as database:
        newest = database.newest()
        counts = database.counts(newest.id) if newest else {"done": 0, "failed": 0}
    return Merged(database_path(folder), shards, counts["done"], counts["failed"], notes)


def _joined(folder: Path) -> bool:
    """Return whether the database has all rows of the shards that are left, which a killed merge may leave behind."""
    if not database_path(folder).exists():
        return False
    tags = shard_databases(folder)
    with ExitStack() as stack:
        stack.enter_context(OutputFolder(folder))
        database = stack.enter_context(Database(folder))
        if not database.is_joined():
            return False
        rows = _all_rows(database)
        shards = [stack.enter_context(Database(folder, shard=tag)) for tag in tags]
        if not all(set() < _all_rows(shard) <= rows for shard in shards):
            return False
        for shard in shards:
            shard.path.unlink()
    return True


def _all_rows(database: Database) -> set[tuple[str, str, str]]:
    """Return the job, name and time of every image."""
    return {(job.key, row.name, row.finished) for job in database.jobs() for row in database.inputs(job.id)}


def find_shards(folder: Path) -> list[Shard]:
    """Return the shards of a folder in order. Raises `OutputError` unless all are present and of the same count."""
    shards = [Shard(*map(int, re.findall(r"\d+", tag))) for tag in shard_databases(folder)]
    if not shards:
        raise OutputError(
            f"no shards in '{folder}'", "camviz heatmap photos/ -o RUN --shard 1/4 does the first of four"
        )
    counts = sorted({shard.count for shard in shards})
    if len(counts) > 1:
        raise OutputError(
            f"'{folder}' holds shards of {' and of '.join(map(str, counts))}, which cannot be joined",
            f"remove one: rm {folder}/camviz.shard-*-of-{counts[-1]}.sqlite",
        )
    missing = sorted({Shard(number, counts[0]) for number in range(1, counts[0] + 1)} - {*shards}, key=str)
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise OutputError(f"{missing[0]} is not in '{folder}'{more}", f"its command again, with {missing[0].option}")
    return sorted(shards, key=lambda shard: shard.number)


def _same_jobs(folder: Path, databases: dict[Shard, Database]) -> dict[Shard, dict[str, JobRow]]:
    """Return the jobs of each shard by key. Raises `OutputError` unless all shards have the same jobs."""
    rows = {shard: {job.key: job for job in database.jobs()} for shard, database in databases.items()}
    first = next(iter(rows))
    for shard, jobs in rows.items():
        if jobs.keys() == rows[first].keys():
            continue
        if len(jobs) == len(rows[first]) == 1:
            [theirs], [ours] = jobs.values(), rows[first].values()
            why = f"{shard} is of another job than {first}: {_difference(theirs, ours)}"
        else:
            why = f"{shard} has {len(jobs)} job(s), {first} {len(rows[first])}, and they are not the same"
        raise OutputError(f"{why}, in '{folder}'", f"the same command again, with {shard.option}")
    return rows


def _difference(theirs: JobRow, ours: JobRow) -> str:
    """Return the first setting that differs."""
    if theirs.command != ours.command:
        return f"camviz {theirs.command}, not {ours.command}"
    mine, other = _flat(ours.settings), _flat(theirs.settings)
    name = next((name for name in {**mine, **other} if mine.get(name) != other.get(name)), "settings")
    return f"{name} is {other.get(name)}, not {mine.get(name)}"


def _flat(settings: dict[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        inside = isinstance(value, dict)
        found |= _flat(value, f"{above}{name}.") if inside else {f"{above}{name}": value}
    return found


def _complete(databases: dict[Shard, Database], rows: dict[Shard, JobRow], before: Database | None) -> None:
    """Raise `OutputError` unless the shards together have every image of a job exactly once."""
    shares = {shard: databases[shard].share(row.id) for shard, row in rows.items()}
    first = next(iter(shares))
    seen: dict[str, Shard] = {}
    for shard, share in shares.items():
        if share is None:
            raise OutputError(f"{shard} is not complete: it was stopped", f"its command again, with {shard.option}")
        first_share = shares[first]
        if first_share and (share[0], share[2]) != (first_share[0], first_share[2]):
            how = f"{share[0]} and {first_share[0]}" if share[0] != first_share[0] else "other names"
            raise OutputError(
                f"{shard} and {first} were given other images: {how}", "the same command again for every shard"
            )
        for name in databases[shard].names(rows[shard].id):
            if home(name, shard.count) != shard.number:
                owner = Shard(home(name, shard.count), shard.count)
                raise OutputError(f"'{name}' is in {shard} and belongs to {owner}", f"{shard.option} once more, anew")
            seen[name] = shard
    old = next((job for job in before.jobs() if job.key == next(iter(rows.values())).key), None) if before else None
    known = len(seen.keys() | set(before.names(old.id))) if before and old else len(seen)
    listed = shares[first][0] if shares[first] else 0  # type: ignore[index]  # not None: just checked
    if known < listed or sum(share[1] for share in shares.values() if share) != listed:
        raise OutputError(
            f"{known} images of {listed} are in the databases",
            "the same command again for every shard finds the others",
        )


def _join(parts: Path, databases: Sequence[Path]) -> Path:
    """Return a database with the rows of all databases; later ones replace earlier ones."""
    with Database(parts, write=True) as merged:
        for path in databases:
            merged.absorb(path)
        merged.mark_joined()
        return merged.path


def _versions(rows: dict[Shard, dict[str, JobRow]]) -> list[str]:
    """Return a note for each package whose version differs between the shards."""
    found: dict[str, set[str]] = {}
    for jobs in rows.values():
        for row in jobs.values():
            for name, version in row.versions.items():
                found.setdefault(name, set()).add(version)
    return [f"{name} was {' and '.join(sorted(values))}" for name, values in found.items() if len(values) > 1]
