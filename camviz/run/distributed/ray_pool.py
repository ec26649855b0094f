"""A run on Ray: a pool of processes that hold the model, fed by Ray Data; this process alone keeps the database.

Inputs are handed out in units, a few for each process: what is under way never grows with the number of inputs.
A unit whose process dies is done by another. What comes back twice counts once; what never comes is asked for again.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from camviz.errors import CamvizError, RequestError
from camviz.io.inputs import Input
from camviz.run.database.records import failure
from camviz.run.distributed.ray_tasks import Answer, Answers, Assignment, lost
from camviz.run.threads import cores

UNIT = 32  # images handed out at once: enough to keep decoding, model and encoding busy beside each other
_AHEAD = 3  # units for each process that are handed out and not back
_TIMES = 3  # that an image may end its process
_STALL = 900.0  # seconds without an answer, after which what is handed out counts as lost


@dataclass(frozen=True)
class Pool:
    """How many processes, each with so many cores, or a GPU."""

    size: int
    cpus: int = 1
    gpu: bool = False

    @property
    def told(self) -> str:
        """In words."""
        each = "a GPU" if self.gpu else f"{self.cpus} core{'s' * (self.cpus > 1)}"
        return f"{self.size} process{'es' * (self.size > 1)}, {each} each"


class Cluster:
    """Ray as a context: a cluster that is joined, or one that is started on this machine and stopped again."""

    def __init__(self, address: str | None = None, workers: int = 0, gpu: bool = True) -> None:
        self.address, self._workers, self._gpu = address, workers, gpu

    def __enter__(self) -> Cluster:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # a process without a GPU sees none
        import ray

        if self.address:
            _knock(self.address)
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            with _without_stderr():
                if self.address:
                    ray.init(address=self.address, **quiet)
                else:
                    local: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 512 * 2**20}
                    ray.init(address="local", num_cpus=max(cores(), self._workers), **local, **quiet)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            if not self.address:
                raise
            raise _nobody(self.address, error) from error
        _hush()
        return self

    def __exit__(self, *_error: object) -> None:
        import ray

        ray.shutdown()

    @property
    def pool(self) -> Pool:
        """One process for each GPU, or for each core; or as many as were asked for."""
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = sum(int(node.get("GPU", 0)) for node in nodes) if self._gpu else 0
        cpus = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1] or [1]
        size = self._workers or gpus or sum(cpus)
        if gpus:
            return Pool(min(size, gpus), max(1, sum(cpus) // max(size, 1) // 2), gpu=True)
        return Pool(min(size, sum(cpus)), max(1, min(cpus) // -(-size // len(cpus))))

    def answers(self, assignment: Assignment, inputs: Iterable[Input]) -> Iterator[tuple[int, Answer]]:
        """The answer to each unit as it comes, with the unit's number; raises `CamvizError` for a wrong request."""
        desk = Desk(iter(inputs), self.pool)
        while not desk.empty:
            before = desk.answered
            try:
                yield from desk.round(assignment)
            except CamvizError:
                raise
            except Exception as error:
                if _hopeless(error) or desk.answered == before:
                    raise _stopped(error) from error
            yield from desk.given_up()


@dataclass(eq=False)
class Desk:
    """Who has what: units that are handed out and not back, in rounds until nothing is left."""

    inputs: Iterator[Input]
    pool: Pool
    answered: int = 0
    _out: dict[int, tuple[Input, ...]] = field(default_factory=dict)
    _again: list[tuple[int, tuple[Input, ...], int]] = field(default_factory=list)  # number, inputs, how often lost
    _lost: dict[int, int] = field(default_factory=dict)
    _number: int = 0
    _ended: bool = False
    _heard: float = 0.0
    _error: BaseException | None = None

    @property
    def empty(self) -> bool:
        """Whether everything is answered."""
        return self._ended and not self._again

    def round(self, assignment: Assignment) -> Iterator[tuple[int, Answer]]:
        """Hand out what is left, through one dataset."""
        from ray.util.queue import Queue

        queue = Queue(actor_options={"num_cpus": 0})
        room = threading.Semaphore(_AHEAD * self.pool.size)
        stop = threading.Event()
        self._heard = time.monotonic()
        feeder = threading.Thread(target=self._feed, args=(queue, room, stop), name="camviz-units", daemon=True)
        feeder.start()
        try:
            for row in dataset(assignment, queue, self.pool).iter_rows():
                number, answer = pickle.loads(row["answer"])
                self._heard = time.monotonic()
                if self._out.pop(number, None) is None:
                    continue  # done twice: the first counted
                room.release()
                self.answered += 1
                if answer.error:
                    raise answer.error
                yield number, answer
            if self._error:
                raise self._error
        finally:
            stop.set()
            with suppress(Exception):
                queue.shutdown(force=True)

    def given_up(self) -> Iterator[tuple[int, Answer]]:
        """What is still out after a round is to be done again, each image alone; or has failed too often."""
        out, self._out = self._out, {}
        for number, inputs in out.items():
            times = self._lost.pop(number, 0) + 1
            if times >= _TIMES and len(inputs) == 1:
                yield number, Answer((failure(inputs[0], lost(inputs[0], times)),))
                continue
            for one in inputs:
                self._number += 1
                self._again.append((self._number, (one,), times))

    def _units(self) -> Iterator[tuple[int, tuple[Input, ...]]]:
        again, self._again = self._again, []
        for number, inputs, times in again:
            self._lost[number] = times
            yield number, inputs
        while inputs := tuple(islice(self.inputs, UNIT)):
            self._number += 1
            yield self._number, inputs
        self._ended = True

    def _feed(self, queue: Any, room: threading.Semaphore, stop: threading.Event) -> None:
        """Hand out units as long as there is room, in a thread of its own: a slow listing holds nobody up."""
        try:
            for number, inputs in self._units():
                self._out[number] = inputs
                while not room.acquire(timeout=0.5):
                    if stop.is_set() or time.monotonic() - self._heard > _STALL:
                        return
                queue.put(pickle.dumps((number, inputs)))
        except BaseException as error:
            self._error = error
        finally:
            with suppress(Exception):
                queue.put(None)


def dataset(assignment: Assignment, queue: Any, pool: Pool) -> Any:
    """A Ray dataset of answers: one task takes units from the queue, the pool answers them. One row is one unit."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = 1  # each row goes on at once, instead of waiting for megabytes
    context.max_errored_blocks = -1  # a unit that is lost is asked for again, see `Desk`
    context.execution_options.verbose_progress = False
    units = ray.data.read_datasource(_source(queue), override_num_blocks=1, num_cpus=0)
    return units.map_batches(
        Worker,
        fn_constructor_args=(assignment, pool.cpus),
        batch_size=1,
        compute=ActorPoolStrategy(size=pool.size, max_tasks_in_flight_per_actor=2),
        num_cpus=0 if pool.gpu else pool.cpus,
        num_gpus=1 if pool.gpu else 0,
        max_restarts=-1,
        max_task_retries=_TIMES - 1,
    )


def _source(queue: Any) -> Any:
    import pyarrow
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    def taken() -> Iterator[Any]:
        while (unit := queue.get()) is not None:
            yield pyarrow.table({"unit": pyarrow.array([unit], pyarrow.large_binary())})

    class Units(Datasource):  # type: ignore[misc]  # of an extra
        """One endless read task."""

        def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[Any]:
            known = BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None, input_files=None)
            return [ReadTask(taken, known)]

        def estimate_inmemory_data_size(self) -> int | None:
            return None

    return Units()


class Worker:
    """A process of the pool: it loads the model once and answers one unit after the other."""

    def __init__(self, assignment: Assignment, cpus: int) -> None:
        from camviz.run.threads import settle

        os.environ["CAMVIZ_CORES"] = str(cpus)
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
            os.environ.pop(name, None)
        settle()
        self._assignment = assignment
        self._answers: Answers | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        import pyarrow

        number, inputs = pickle.loads(batch["unit"][0])
        answer = pickle.dumps((number, self._answer(inputs)))
        return {"answer": pyarrow.array([answer], pyarrow.large_binary())}

    def _answer(self, inputs: Sequence[Input]) -> Answer:
        try:
            if self._answers is None:
                self._answers = self._assignment.begin()
            return self._answers(inputs)
        except CamvizError as error:
            return Answer(error=error)
        except Exception as error:  # nobody expected it: told once, by this process's words
            return Answer(error=failure(inputs[0], error).error)


def _nobody(address: str, error: BaseException) -> RequestError:
    why = next(iter(str(error).splitlines()), "") or type(error).__name__
    return RequestError(
        f"no Ray cluster answers at '{address}': {why}", "ray start --head starts one and says its address"
    )


def _knock(address: str) -> None:
    """Raise `RequestError` where nobody listens: Ray itself would wait for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return  # auto, or a name that Ray knows
    from ray.util import get_node_ip_address

    hosts = [get_node_ip_address(), host] if host in ("127.0.0.1", "localhost") else [host]  # as Ray understands it
    for place in hosts:
        try:
            socket.create_connection((place, int(port)), timeout=10).close()
            return
        except (OSError, ValueError) as error:
            reason = error
    raise _nobody(address, reason)


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Within the block nothing comes out of stderr, not even from C++, which says how little it will say."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _hush() -> None:
    """What Ray Data has to say goes to its own files; ours are the words on stderr."""
    import ray.data  # noqa: F401  # it sets up its own when it is imported

    for name in ("ray", "ray.data"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.ERROR)
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module="ray")
    warnings.filterwarnings("ignore", message=".*ray_remote_args.*")


def _hopeless(error: BaseException) -> bool:
    return isinstance(error, (KeyboardInterrupt, MemoryError))


def _stopped(error: BaseException) -> RequestError:
    words = next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
    return RequestError(
        f"Ray stopped: {words[:300]}", "'ray status' shows the cluster; camviz must be installed on all of its machines"
    )
