"""A run on Ray: actors hold the model and answer units of images; this process alone keeps the run database.

Ray's driver runs in a child process. Ray ends a driver whose raylet dies, with a stack on stderr and no exception;
in a child that is an end of the pipe, and the run ends as every other run does.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from textwrap import shorten
from typing import Any

from camviz.errors import CamvizError, RequestError, RunError
from camviz.io.inputs import Input
from camviz.run.database.records import failure
from camviz.run.distributed.ray_tasks import Answer, Answers, Assignment, lost
from camviz.run.threads import cores

UNIT = 32  # images handed out at once: enough to keep decoding, model and encoding busy beside each other
_TIMES = 3  # how often an image may end its worker before it counts as failed
_PAUSE = 1.0  # seconds
_PATIENCE = 900.0  # seconds that the cluster may take to place a worker while no other works
_RESTARTS = 20  # failures to load the model in a row, a second apart: Ray may take some seconds to restart a worker
_RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}  # without a GPU a worker sees none


@dataclass(frozen=True)
class Pool:
    """How many workers, each with so many cores, or a GPU."""

    size: int
    cpus: int = 1
    gpu: bool = False

    def __str__(self) -> str:
        each = "a GPU" if self.gpu else f"{self.cpus} core{'s' * (self.cpus > 1)}"
        return f"{self.size} process{'es' * (self.size > 1)}, {each} each"


@dataclass(frozen=True)
class Unit:
    """Consecutive images, the number of the first, and how often their worker died."""

    number: int = 0
    inputs: tuple[Input, ...] = ()
    deaths: int = 0

    def apart(self) -> Iterator[Unit]:
        """Each image alone, after another death."""
        return (Unit(self.number + i, (source,), self.deaths + 1) for i, source in enumerate(self.inputs))


class Cluster:
    """Ray as a context: join the cluster at `address`, or start one on this machine and stop it again.

    Raises `RequestError` where that fails.
    """

    def __init__(self, address: str | None = None, workers: int = 0, gpu: bool = True) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, pipe = spawn.Pipe()
        self._driver = spawn.Process(target=drive, args=(pipe, address, workers, gpu), daemon=True)
        with _interrupts_blocked():  # Ctrl-C reaches all processes of a terminal: only this one acts on it
            self._driver.start()
        pipe.close()
        self._listing_error: BaseException | None = None

    def __enter__(self) -> Cluster:
        self.pool: Pool = self._receive()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind:
            self._driver.terminate()  # on SIGTERM Ray shuts its processes down
        self._driver.join(15)
        self._driver.kill()
        self._pipe.close()

    def answers(self, assignment: Assignment, inputs: Iterable[Input]) -> Iterator[tuple[int, Answer]]:
        """Yield the number of a unit's first input and the unit's answer, as they come.

        Raises what a worker or the listing raised, and `RunError` when Ray stops.
        """
        self._pipe.send(assignment)
        threading.Thread(target=self._feed, args=(iter(inputs),), name="camviz-units", daemon=True).start()
        while received := self._receive():
            number, answer = received
            if answer.error:
                raise answer.error
            yield number, answer
        if self._listing_error:
            raise self._listing_error

    def _feed(self, inputs: Iterator[Input]) -> None:
        """Send units while the pipe has room, in a thread: a slow listing delays no answer."""
        number = 0
        try:
            while unit := tuple(islice(inputs, UNIT)):
                self._pipe.send(Unit(number, unit))
                number += len(unit)
        except BaseException as error:
            self._listing_error = error
        with suppress(OSError):
            self._pipe.send(None)

    def _receive(self) -> Any:
        try:
            received = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise _stopped("its process on this machine was killed") from error
        if isinstance(received, CamvizError):
            raise received
        return received


def drive(pipe: Connection, address: str | None, workers: int, gpu: bool) -> None:
    """Run Ray's driver in this process; the pipe carries the assignment and units in, the pool and answers out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.dup2(2, 1)
    for name, value in _RAY.items():
        os.environ.setdefault(name, value)
    import ray

    try:
        _connect(address, workers)
        pool = _pool(workers, gpu)
        pipe.send(pool)
        driver = _Driver(pipe, pool, pipe.recv())
        try:
            driver.run()
        finally:
            driver.close()
        pipe.send(None)
    except (EOFError, BrokenPipeError):  # nobody waits for answers any more
        pass
    except CamvizError as error:
        pipe.send(error)
    except Exception as error:
        pipe.send(_stopped(_short(error)))
    finally:
        ray.shutdown()


class _Driver:
    """Which worker has which unit. A worker first loads the model (a unit of no images); then it has one at a time."""

    def __init__(self, pipe: Connection, pool: Pool, assignment: Assignment) -> None:
        import ray

        resources = {"num_gpus": 1} if pool.gpu else {"num_cpus": pool.cpus}
        actor = ray.remote(Worker).options(**resources, max_restarts=-1, max_task_retries=0)
        self._pipe, self._pool = pipe, pool
        self._tasks: dict[Any, tuple[Any, Unit]] = {}  # by the reference of the answer
        self._idle: list[Any] = []
        self._again: deque[Unit] = deque()
        self._ended = False
        self._failures = 0
        self._last_answer = time.monotonic()
        self._workers = [actor.remote(assignment, pool.cpus) for _ in range(pool.size)]
        for worker in self._workers:
            self._submit(worker, Unit())

    def close(self) -> None:
        """End the workers at once; by themselves they would end with their units."""
        import ray

        for worker in self._workers:
            with suppress(Exception):
                ray.kill(worker)

    def _submit(self, worker: Any, unit: Unit) -> None:
        self._tasks[worker.answer.remote(unit.inputs)] = worker, unit

    def run(self) -> None:
        """Answer every unit of the pipe."""
        import ray

        parent = multiprocessing.parent_process()
        while self._again or not self._ended or self._computing:
            self._hand_out()
            seconds = 0.1 if self._idle and not self._ended else 1.0
            if not self._tasks:
                self._pipe.poll(seconds)
            for task in ray.wait([*self._tasks], timeout=seconds)[0] if self._tasks else ():
                self._receive(task, *self._tasks.pop(task))
            if parent and not parent.is_alive():
                raise EOFError
            if not (self._idle or self._computing) and time.monotonic() - self._last_answer > _PATIENCE:
                raise _stopped("the cluster has no room for a worker")

    @property
    def _computing(self) -> bool:
        return any(unit.inputs for _, unit in self._tasks.values())

    def _hand_out(self) -> None:
        while self._idle and (self._again or (not self._ended and self._pipe.poll())):
            unit = self._again.popleft() if self._again else self._pipe.recv()
            if unit:
                self._submit(self._idle.pop(), unit)
            else:
                self._ended = True

    def _receive(self, task: Any, worker: Any, unit: Unit) -> None:
        """Pass an answer on. Ray restarts a worker that died; its images are tried again, each alone."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            answer: Answer = ray.get(task)
        except RayTaskError:
            raise
        except RayError as error:
            if not unit.inputs:
                self._failures += 1
                if self._failures > _RESTARTS:
                    raise _stopped(f"its workers end and do not start again: {_short(error)}") from error
                time.sleep(_PAUSE)
            self._submit(worker, Unit())
            if len(unit.inputs) == 1 and unit.deaths + 1 >= _TIMES:
                error_record = failure(unit.inputs[0], lost(unit.inputs[0], _TIMES))
                self._pipe.send((unit.number, Answer((error_record,))))
            else:
                self._again.extend(unit.apart())
            return
        self._idle.append(worker)
        self._failures, self._last_answer = 0, time.monotonic()
        if unit.inputs or answer.error:
            self._pipe.send((unit.number, answer))


class Worker:
    """An actor: it loads the model once and answers one unit after the other."""

    def __init__(self, assignment: Assignment, cpus: int) -> None:
        from camviz.run.threads import settle

        os.environ["CAMVIZ_CORES"] = str(cpus)
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
            os.environ.pop(name, None)
        settle()
        self._assignment = assignment
        self._answers: Answers | None = None

    def answer(self, inputs: Sequence[Input]) -> Answer:
        """Return the records of some images, or an error that concerns all images; without images, load the model."""
        try:
            self._answers = self._answers or self._assignment.begin()
            return self._answers(inputs) if inputs else Answer()
        except CamvizError as error:
            return Answer(error=error)
        except Exception as error:
            words = f"unexpected {type(error).__name__}: {error}"
            return Answer(error=CamvizError(words, "CAMVIZ_TRACEBACK=1 and --engine local show where"))


def _connect(address: str | None, workers: int) -> None:
    """Join a cluster, or start one. Raises `RequestError` where no cluster answers."""
    import ray

    if not address:
        ray.init(
            address="local", num_cpus=max(cores(), workers), include_dashboard=False, object_store_memory=512 * 2**20
        )
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    try:
        if colon:  # ask first: Ray itself waits for minutes
            local = host in ("127.0.0.1", "localhost")  # Ray listens on the address of the network
            socket.create_connection((ray.util.get_node_ip_address() if local else host, int(port)), timeout=10).close()
        ray.init(address=address)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise RequestError(
            f"no Ray cluster answers at '{address}': {_short(error)}",
            "'ray start --head' starts one and prints its address",
        ) from error


def _pool(workers: int, gpu: bool) -> Pool:
    """One worker for each GPU, or for each core; or as many as were asked for."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes) if gpu else 0
    cpus = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1] or [1]
    size = workers or gpus or sum(cpus)
    if gpus:
        return Pool(min(size, gpus), max(1, sum(cpus) // max(size, 1) // 2), gpu=True)
    return Pool(min(size, sum(cpus)), max(1, min(cpus) // -(-size // len(cpus))))


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT, also in processes that are started within the block, as long as they live.

    Raises `KeyboardInterrupt` after the block if SIGINT came within it.
    """
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []  # a thread that does not block the signal may take it: Python then tells the main thread
    handler = signal.signal(signal.SIGINT, lambda number, _frame: received.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, handler)
    if received:
        raise KeyboardInterrupt


def _short(error: BaseException) -> str:
    return shorten(str(error), 160, placeholder=" …") or type(error).__name__


def _stopped(why: str) -> RunError:
    return RunError(
        f"Ray stopped: {why}", "run it again to resume; on a cluster, camviz must be installed on all of its machines"
    )
