"""Who has what of a run on Ray: units handed out, lost and done again, with a dataset of our own in Ray's place."""

from __future__ import annotations

import pickle
import queue
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from camviz.errors import InputError, RequestError
from camviz.io.inputs import Input
from camviz.run.database.records import Record
from camviz.run.distributed.ray_pool import Cluster, Desk, Pool
from camviz.run.distributed.ray_tasks import Answer


def desk(count: int, size: int = 2) -> Desk:
    return Desk(iter([Input(Path(str(number)), str(number)) for number in range(count)]), Pool(size))


def test_every_input_is_handed_out_once():
    here = desk(70)
    units = list(here._units())
    assert [len(inputs) for _, inputs in units] == [32, 32, 6]
    assert [number for number, _ in units] == [1, 2, 3]
    assert here.empty


def test_what_is_lost_is_done_again_alone_and_fails_in_the_end():
    here = desk(3)
    here._out = dict(here._units())
    assert list(here.given_up()) == []
    assert not here.empty
    for expected in (3, 1):
        units = list(here._units())
        assert [len(inputs) for _, inputs in units] == [1] * expected
        here._out = {number: inputs for number, inputs in units if inputs[0].name == "1"}
        failed = list(here.given_up())
    [(_, answer)] = failed
    assert answer.records[0].source.name == "1"
    assert "3 times" in answer.records[0].error.message
    assert here.empty


@pytest.fixture
def rows(monkeypatch):
    """`rows(function)`: in the place of Ray's dataset one whose rows `function(queue)` makes."""
    util = ModuleType("ray.util")
    queues = ModuleType("ray.util.queue")
    for module in (ModuleType("ray"), util, queues):
        monkeypatch.setitem(sys.modules, module.__name__, module)

    class Units(queue.Queue):
        def __init__(self, actor_options: dict[str, int]) -> None:
            super().__init__()

        def shutdown(self, force: bool) -> None:
            pass

    queues.Queue = Units

    def replace(make):
        class Dataset:
            def __init__(self, _work, units, _pool) -> None:
                self.units = units

            def iter_rows(self):
                for number, answer in make(self.units):
                    yield {"answer": pickle.dumps((number, answer))}

        monkeypatch.setattr("camviz.run.distributed.ray_pool.dataset", Dataset)
        monkeypatch.setattr(Cluster, "pool", Pool(2))

    return replace


def taken(units):
    """The units as they come, until there are no more."""
    while (unit := units.get(timeout=10)) is not None:
        yield pickle.loads(unit)


def answered(inputs) -> Answer:
    return Answer(tuple(Record(one) for one in inputs))


def listed(count: int) -> Iterator[Input]:
    return (Input(Path(str(number)), str(number)) for number in range(count))


def test_at_most_three_units_for_each_process_are_out(rows):
    asked = []

    def count(total):
        for one in listed(total):
            asked.append(one)
            yield one

    def slow(units):
        held = [pickle.loads(units.get(timeout=10)) for _ in range(6)]
        with pytest.raises(queue.Empty):
            units.get(timeout=0.3)
        assert len(asked) <= 7 * 32  # nor is the listing read ahead
        yield from ((number, answered(inputs)) for number, inputs in held)
        yield from ((number, answered(inputs)) for number, inputs in taken(units))

    rows(slow)
    found = list(Cluster().answers(None, count(20 * 32)))
    assert sorted(number for number, _ in found) == list(range(1, 21))


def test_what_is_answered_twice_counts_once(rows):
    def twice(units):
        for number, inputs in taken(units):
            yield number, answered(inputs)
            yield number, answered(inputs)

    rows(twice)
    found = [one.source.name for _, answer in Cluster().answers(None, listed(70)) for one in answer.records]
    assert sorted(found, key=int) == [str(number) for number in range(70)]


def test_what_dies_is_replaced_and_its_unit_done_again(rows):
    """An image that ends three processes fails; those that shared its unit do not."""
    deaths = []

    def deadly(units):
        for number, inputs in taken(units):
            if any(one.name == "5" for one in inputs):
                deaths.append(len(inputs))
            else:
                yield number, answered(inputs)

    rows(deadly)
    found = [one for _, answer in Cluster().answers(None, listed(70)) for one in answer.records]
    assert sorted((one.source.name for one in found), key=int) == [str(number) for number in range(70)]
    assert [one.source.name for one in found if one.error] == ["5"]
    assert deaths == [32, 1, 1]


def test_what_stops_everything_is_told(rows):
    def wrong(units):
        for number, _ in taken(units):
            yield number, Answer(error=RequestError("no such class", "another"))

    rows(wrong)
    with pytest.raises(RequestError, match="no such class"):
        list(Cluster().answers(None, listed(70)))

    def broken(_units):
        raise RuntimeError("first\n\n  the node died  \n")
        yield

    rows(broken)
    with pytest.raises(RequestError, match=r"^Ray stopped: the node died$"):
        list(Cluster().answers(None, listed(70)))

    def listing():
        yield from listed(40)
        raise InputError("the folder is gone", "mount it")

    rows(lambda units: ((number, answered(inputs)) for number, inputs in taken(units)))
    with pytest.raises(InputError, match="the folder is gone"):
        list(Cluster().answers(None, listing()))
