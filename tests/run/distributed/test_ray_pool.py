"""Units handed out, lost and tried again, with actors of this process in the place of Ray's."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing import Pipe
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from camviz.errors import CamvizError, InputError, RequestError, RunError
from camviz.io.inputs import Input
from camviz.run.database.records import Record
from camviz.run.distributed import ray_pool
from camviz.run.distributed.ray_pool import Cluster, Pool, Unit
from camviz.run.distributed.ray_tasks import Answer

Answers = Callable[[Sequence[Input]], Answer]


def listed(count: int, first: int = 0) -> tuple[Input, ...]:
    return tuple(Input(Path(str(number)), str(number)) for number in range(first, first + count))


def answered(inputs: Sequence[Input]) -> Answer:
    return Answer(tuple(Record(one) for one in inputs))


class Assigned:
    """Answers as a function does; counts how often a model was loaded."""

    def __init__(self, answers: Answers) -> None:
        self.answers, self.loaded = answers, 0

    def begin(self) -> Answers:
        self.loaded += 1
        return self.answers


class Died(BaseException):
    """Ray's error for an actor that is gone; no worker can catch it."""


@pytest.fixture
def ray(monkeypatch) -> ModuleType:
    """Ray as this process alone: a task runs when it is waited for."""
    module, exceptions = ModuleType("ray"), ModuleType("ray.exceptions")
    exceptions.RayError, exceptions.RayTaskError = Died, type("RayTaskError", (Died,), {})

    class Actor:
        def __init__(self, *arguments: Any) -> None:
            worker = ray_pool.Worker(*arguments)
            self.answer = SimpleNamespace(remote=lambda inputs: partial(worker.answer, inputs))

    actor = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=Actor))
    module.remote = lambda _class: actor
    module.wait = lambda tasks, timeout: (tasks[:1], tasks[1:])
    module.get = lambda task: task()
    monkeypatch.setitem(sys.modules, "ray", module)
    monkeypatch.setitem(sys.modules, "ray.exceptions", exceptions)
    monkeypatch.setenv("CAMVIZ_CORES", "1")
    return module


@pytest.fixture
def spread(ray) -> Callable[..., list[tuple[int, Answer]]]:
    """`spread(answers, inputs)`: everything that comes back from a pool of two."""

    def run(answers: Answers, inputs: Sequence[Input], assigned: Assigned | None = None) -> list[tuple[int, Answer]]:
        here, there = Pipe()
        for start in range(0, len(inputs), 32):
            here.send(Unit(start, tuple(inputs[start : start + 32])))
        here.send(None)
        ray_pool._Driver(there, Pool(2), assigned or Assigned(answers)).run()
        there.close()
        return list(received(here))

    return run


def received(pipe) -> Iterator[Any]:
    while True:
        try:
            yield pipe.recv()
        except EOFError:
            return


def test_every_unit_is_answered_once_and_each_worker_loads_one_model(spread):
    assigned = Assigned(answered)
    found = spread(answered, listed(70), assigned)
    assert sorted(number for number, _ in found) == [0, 32, 64]
    names = [one.source.name for _, answer in found for one in answer.records]
    assert sorted(names, key=int) == [str(number) for number in range(70)]
    assert assigned.loaded == 2


def test_an_image_that_ends_three_workers_fails_and_its_neighbors_do_not(spread):
    deaths = []

    def deadly(inputs: Sequence[Input]) -> Answer:
        if any(one.name == "5" for one in inputs):
            deaths.append(len(inputs))
            raise Died
        return answered(inputs)

    found = spread(deadly, listed(70))
    records = [(number, one) for number, answer in found for one in answer.records]
    assert sorted((one.source.name for _, one in records), key=int) == [str(number) for number in range(70)]
    [(number, failed)] = [(number, one) for number, one in records if one.error]
    assert (number, failed.source.name) == (5, "5")
    assert "3 times" in failed.error.message
    assert deaths == [32, 1, 1]


def test_workers_that_die_while_they_load_stop_the_run(spread, monkeypatch):
    def begin(self: Assigned) -> Answers:
        raise Died("the model is too large")

    monkeypatch.setattr(Assigned, "begin", begin)
    monkeypatch.setattr(ray_pool, "_PAUSE", 0.0)
    with pytest.raises(RunError, match="the model is too large"):
        spread(answered, listed(3))


def test_a_cluster_without_room_stops_the_run(ray, monkeypatch):
    ray.wait = lambda tasks, timeout: ([], tasks)
    monkeypatch.setattr(ray_pool, "_PATIENCE", 0.0)
    _, there = Pipe()
    with pytest.raises(RunError, match="no room"):
        ray_pool._Driver(there, Pool(2), Assigned(answered)).run()


def test_errors_of_a_worker_are_answers(spread):
    def wrong(_inputs: Sequence[Input]) -> Answer:
        raise RequestError("no such class", "another")

    [(number, answer)] = spread(wrong, listed(3))
    assert (number, answer.error.message) == (0, "no such class")

    def unexpected(_inputs: Sequence[Input]) -> Answer:
        raise ZeroDivisionError("by zero")

    [(_, answer)] = spread(unexpected, listed(3))
    assert type(answer.error) is CamvizError
    assert "ZeroDivisionError: by zero" in answer.error.message


# the process that keeps the database


@pytest.fixture
def cluster(monkeypatch):
    """`cluster(drive)`: a cluster whose driver is a thread that runs `drive(pipe)`."""

    class Thread(threading.Thread):
        def terminate(self) -> None:
            pass

        kill = terminate

    def start(drive: Callable[[Any], None]) -> Cluster:
        def run(pipe: Any, *_settings: object) -> None:
            try:
                drive(pipe)
            finally:
                pipe.close()

        context = SimpleNamespace(
            Pipe=lambda: (lambda here, there: (here, Twice(there)))(*Pipe()),
            Process=lambda target, args, daemon: Thread(target=run, args=args, daemon=True),
        )
        monkeypatch.setattr(ray_pool.multiprocessing, "get_context", lambda _how: context)
        return Cluster()

    return start


class Twice:
    """The far end of a pipe, which both processes close: here both are one."""

    def __init__(self, pipe: Any) -> None:
        self._pipe, self._open = pipe, 2
        self.send, self.recv, self.poll = pipe.send, pipe.recv, pipe.poll

    def close(self) -> None:
        self._open -= 1
        if not self._open:
            self._pipe.close()


def echo(pipe: Any) -> None:
    pipe.send(Pool(2))
    pipe.recv()
    while unit := pipe.recv():
        pipe.send((unit.number, answered(unit.inputs)))
    pipe.send(None)


def test_units_have_the_number_of_their_first_image(cluster):
    with cluster(echo) as there:
        assert str(there.pool) == "2 processes, 1 core each"
        found = list(there.answers(None, listed(70)))
    assert [(number, len(answer.records)) for number, answer in found] == [(0, 32), (32, 32), (64, 6)]


def test_the_error_of_a_listing_comes_after_what_was_listed(cluster):
    def listing() -> Iterator[Input]:
        yield from listed(40)
        raise InputError("the folder is gone", "mount it")

    found = []
    with cluster(echo) as there, pytest.raises(InputError, match="the folder is gone"):
        found.extend(there.answers(None, listing()))


def test_a_listing_that_waits_holds_no_answer_back(cluster):
    more: queue.Queue[Input | None] = queue.Queue()
    for one in listed(32):
        more.put(one)
    with cluster(echo) as there:
        answers = there.answers(None, iter(more.get, None))
        assert next(answers)[0] == 0  # though the listing is not at its end
        more.put(None)
        assert list(answers) == []


def test_a_driver_that_is_gone_is_an_error_that_says_how_to_go_on(cluster):
    def dies(pipe: Any) -> None:
        pipe.send(Pool(2))
        pipe.recv()
        unit = pipe.recv()
        pipe.send((unit.number, answered(unit.inputs)))

    with cluster(dies) as there:
        answers = there.answers(None, listed(70))
        assert next(answers)[0] == 0
        with pytest.raises(RunError) as caught:
            next(answers)
    assert caught.value.exit_status == 1
    assert "run it again" in caught.value.hint


def test_what_the_driver_refuses_is_raised(cluster):
    with pytest.raises(RequestError, match="no cluster"), cluster(lambda pipe: pipe.send(RequestError("no cluster"))):
        pass


def test_an_interrupt_within_the_block_comes_after_it():
    passed = []

    def block() -> None:
        with ray_pool._interrupts_blocked():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            passed.append(True)

    with pytest.raises(KeyboardInterrupt):
        block()
    assert passed
