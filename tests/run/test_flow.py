"""The flow with stages that are plain functions."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from camviz.errors import InputError, OutputError, RequestError
from camviz.io.images import read_image
from camviz.io.inputs import Input
from camviz.io.opening import BYTES_PER_PIXEL
from camviz.run.database.records import Record
from camviz.run.flow import Flow, Pace, Stages


def inputs(count: int):
    return (Input(Path(f"{number}"), f"{number}") for number in range(count))


def run(count: int, batch: int = 1, threads: int = 2, engines=1, given=None, memory=2**60, **stages):
    """The records of so many inputs, and the batches that were computed."""
    batches: list[list[int]] = []

    def compute(group):
        batches.append(list(group))
        return list(group)

    known = {"read": lambda one: int(one.name), "shape": lambda _: 0, "write": lambda one, _read, _found: Record(one)}
    known |= {"engines": [compute] * engines if isinstance(engines, int) else engines} | stages
    pace = Pace(batch, threads, out_of_memory=lambda error: isinstance(error, MemoryError), memory=memory)
    return list(Flow(given or inputs(count), Stages(**known), pace)), batches


@pytest.mark.parametrize(("batch", "threads", "engines"), [(1, 1, 1), (3, 2, 1), (2, 4, 3)])
def test_all_come_out_once_and_in_order(batch, threads, engines):
    records, batches = run(50, batch, threads, engines)
    assert [record.source.name for record in records] == [str(number) for number in range(50)]
    assert {len(one) for one in batches} == {batch}  # always full


def test_shapes_are_kept_apart_and_filled_up():
    records, batches = run(21, 4, shape=lambda number: number % 2)
    assert sorted(int(record.source.name) for record in records) == list(range(21))
    assert all(len(one) == 4 and len({number % 2 for number in one}) == 1 for one in batches)


def test_no_more_are_under_way_than_the_window_allows():
    under_way, most = set(), [0]

    def read(one):
        under_way.add(one.name)
        most[0] = max(most[0], len(under_way))
        return int(one.name)

    def write(one, _read, _found):
        time.sleep(0.001)
        under_way.discard(one.name)
        return Record(one)

    run(300, 2, 2, read=read, write=write)
    assert most[0] <= 50


def test_failures_of_one_image_are_its_own():
    def read(one):
        if one.name == "3":
            raise InputError("bad", "")
        return int(one.name)

    def compute(group):
        if 5 in group:
            raise ValueError("five")
        return group

    def write(one, _read, _found):
        if one.name == "7":
            raise KeyError("seven")
        return Record(one)

    records, _ = run(10, 3, read=read, engines=[compute], write=write)
    failed = {record.source.name: record.error.message for record in records if record.error}
    assert set(failed) == {"3", "5", "7"}
    assert "ValueError: five" in failed["5"]
    assert len(records) == 10


def test_nothing_but_failures():
    def read(_one):
        raise InputError("bad", "")

    records, _ = run(100, read=read)
    assert sum(record.error is not None for record in records) == 100


@pytest.mark.parametrize("error", [OutputError("full"), KeyboardInterrupt()])
def test_what_concerns_all_ends_the_run(error):
    def write(one, _read, _found):
        raise error

    with pytest.raises(type(error)):
        run(10, write=write)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("camviz_")]


def test_an_error_of_the_model_fails_its_image_and_names_the_request():
    def moody(group):
        if 4 in group:
            raise RequestError("no rows", "other rows")
        if 6 in group:
            raise ValueError("six")
        return group

    records, _ = run(10, 2, engines=[moody])
    failed = {record.source.name: record for record in records if record.error}
    assert set(failed) == {"4", "6"}
    assert "'4': no rows" in failed["4"].error.message
    assert failed["4"].request_error.message == "no rows"
    assert "ValueError: six" in failed["6"].request_error.message


def test_an_interruption_keeps_what_is_written():
    def interrupted(group):
        if 5 in group:
            raise KeyboardInterrupt
        return group

    def write(one, _read, _found):
        time.sleep(0.05)
        return Record(one)

    stages = Stages(lambda one: int(one.name), lambda _: 0, [interrupted], write)
    names: list[str] = []

    def take():
        for record in Flow(inputs(10), stages, Pace(1, 5)):
            names.append(record.source.name)

    with pytest.raises(KeyboardInterrupt):
        take()
    assert names == ["0", "1", "2", "3", "4"]


def test_memory_that_runs_out_halves_the_batch_for_good():
    sizes = []

    def greedy(group):
        sizes.append(len(group))
        if len(group) > 2:
            raise MemoryError
        return group

    records, _ = run(16, 8, engines=[greedy])
    assert sizes == [8, 4, *[2] * 8]
    assert not any(record.error for record in records)


def test_one_image_too_many():
    def full(_group):
        raise MemoryError

    [record], _ = run(1, 1, engines=[full])
    assert record.error.message == "'0': not enough memory"


NEED = 100 * 100 * BYTES_PER_PIXEL


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
@pytest.mark.parametrize(("memory", "most"), [(NEED // 2, 1), (NEED, 1), (2 * NEED, 2), (3 * NEED + 1, 3)])
def test_large_images_in_progress_share_the_memory(tmp_path, write_image, batch, memory, most):
    large = write_image(tmp_path / "large.png", 100, 100)
    small = write_image(tmp_path / "small.png", 2, 2)
    under_way, seen = set(), []

    def read(one):
        read_image(large if int(one.name) % 3 else small)
        if int(one.name) % 3:
            under_way.add(one.name)
            seen.append(len(under_way))
        return int(one.name)

    def write(one, _read, _found):
        time.sleep(0.001)
        under_way.discard(one.name)
        return Record(one)

    done = []
    flow = threading.Thread(
        target=lambda: done.extend(run(30, batch, 4, read=read, write=write, memory=memory)[0]), daemon=True
    )
    flow.start()
    flow.join(20)
    assert sorted(int(record.source.name) for record in done) == list(range(30)), "it waits for itself"
    assert max(seen) <= most


@pytest.mark.parametrize("stage", ["read", "write"])
def test_memory_that_runs_out_beside_others_is_tried_alone(stage):
    under_way: set[str] = set()

    def crowded(one):
        if one.name == "5" and under_way != {"5"}:
            under_way.discard("5")
            raise MemoryError

    def read(one):
        under_way.add(one.name)
        time.sleep(0.002)
        if stage == "read":
            crowded(one)
        return int(one.name)

    def write(one, _read, _found):
        if stage == "write":
            crowded(one)
        under_way.discard(one.name)
        return Record(one)

    records, _ = run(20, 2, 4, read=read, write=write)
    assert sorted(int(record.source.name) for record in records) == list(range(20))
    assert not any(record.error for record in records)


def test_lack_of_memory_is_not_remembered_as_damage():
    def full(_one):
        raise MemoryError

    [record] = run(1, given=[Input(Path("0"), "0", stamp=(3, 4))], read=full)[0]
    assert record.error is not None
    assert record.source.stamp is None  # an image with another stamp is tried again


def test_a_slow_listing_holds_nobody_up():
    more = threading.Event()

    def slow():
        yield from inputs(1)
        assert more.wait(10)
        yield Input(Path("x"), "x")

    flow = iter(Flow(slow(), Stages(lambda one: one, lambda _: 0, [lambda g: g], lambda o, _r, _f: Record(o)), Pace(2)))
    assert next(flow).source.name == "0"
    more.set()
    assert [record.source.name for record in flow] == ["x"]


def test_a_listing_that_breaks_is_told_after_what_it_gave():
    def broken():
        yield from inputs(3)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        run(0, given=broken())


def test_a_large_image_is_opened_once_where_there_is_room(write_image, tmp_path, monkeypatch):
    from camviz.io import opening

    path, opened, original = write_image(tmp_path / "a.png", 40, 30), [], opening._source
    monkeypatch.setattr(opening, "_source", lambda path: opened.append(path) or original(path))
    read = {"read": lambda source: read_image(source.path), "given": [Input(path, "a.png")]}
    run(1, memory=2 * 40 * 30 * BYTES_PER_PIXEL, **read)
    assert opened == [path]
