"""Images through three stages: read and written in threads, computed in batches, handed out in order.

Nothing here grows with the number of inputs: they are listed as they are needed, and so many are under way at once.
"""

from __future__ import annotations

import queue
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from camviz.errors import InputError, RequestError
from camviz.io.inputs import Input
from camviz.run.database.records import Record, failure

R = TypeVar("R")
C = TypeVar("C")


@dataclass(frozen=True)
class Stages(Generic[R, C]):
    """What happens to an image. `read` and `write` run in many threads at once; each engine in one at a time.

    An engine takes images of one `shape` and gives something for each; an exception in its place fails that one.
    """

    read: Callable[[Input], R]
    shape: Callable[[R], Hashable]
    engines: Sequence[Callable[[list[R]], Sequence[C | Exception]]]
    write: Callable[[Input, R, C], Record]


@dataclass(frozen=True)
class Pace:
    """How many images go through the model at once, and how many threads work beside it.

    A batch is always full, the last image repeated, so that no result depends on which others it meets.
    `strict`: an error that nobody expected ends the run, instead of failing its image.
    """

    batch: int = 1
    threads: int = 2
    strict: bool = False
    out_of_memory: Callable[[BaseException], bool] = lambda error: isinstance(error, MemoryError)
    smaller: Callable[[int], None] = lambda _size: None  # hears of the batch that fits


@dataclass(eq=False)
class _Item(Generic[R]):
    """An image that was read, and what that took."""

    source: Input
    read: R
    seconds: float


@dataclass(eq=False)
class _Feed:
    """Lists the inputs in a thread of its own, a little ahead: a slow listing holds nobody up."""

    inputs: Iterable[Input]
    wake: threading.Event
    ahead: int
    ready: queue.Queue[Input] = field(init=False)
    error: BaseException | None = None
    ended: bool = False
    stopped: bool = False

    def __post_init__(self) -> None:
        self.ready = queue.Queue(self.ahead)
        threading.Thread(target=self._list, name="camviz-inputs", daemon=True).start()

    def _list(self) -> None:
        try:
            for source in self.inputs:
                while not self.stopped:
                    try:
                        self.ready.put(source, timeout=0.2)
                        break
                    except queue.Full:
                        continue
                if self.stopped:
                    return
                self.wake.set()
        except BaseException as error:
            self.error = error
        finally:
            self.ended = True
            self.wake.set()

    def get(self) -> Input | None:
        """The next input if one is there."""
        try:
            return self.ready.get_nowait()
        except queue.Empty:
            return None

    @property
    def dry(self) -> bool:
        """Whether nothing is there, and nothing will come."""
        return self.ended and self.ready.empty()


class Flow(Generic[R, C]):
    """One pass of inputs through stages; iterate over it once for the records, in the order of the batches."""

    def __init__(self, inputs: Iterable[Input], stages: Stages[R, C], pace: Pace) -> None:
        self._inputs, self._stages, self._pace = inputs, stages, pace
        self._size = pace.batch
        self._wake, self._lock = threading.Event(), threading.Lock()
        self._engines: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for engine in stages.engines:
            self._engines.put(engine)
        self._inline = len(stages.engines) == 1  # in the calling thread, where Ctrl-C reaches it
        self._computing = 0
        self._proven = False  # whether the model has worked at all; until then one batch at a time
        self._reading: deque[tuple[Input, Future[_Item[R]]]] = deque()
        self._waiting: list[_Item[R]] = []
        self._writing: deque[Future[Any]] = deque()
        self._window = 2 * (pace.threads + pace.batch * len(stages.engines))

    def __iter__(self) -> Iterator[Record]:
        pool = ThreadPoolExecutor(self._pace.threads, "camviz")
        feed = _Feed(self._inputs, self._wake, self._window)
        try:
            with warnings.catch_warnings():  # those of a decoder; in threads it cannot keep them to itself
                warnings.filterwarnings("ignore", module=r"PIL\.")
                yield from self._run(feed, pool)
        finally:
            feed.stopped = True
            pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, feed: _Feed, pool: ThreadPoolExecutor) -> Iterator[Record]:
        while True:
            self._wake.clear()
            yield from self._finished()
            moved = self._feed(feed, pool) or self._gather()
            batch = self._batch(feed)
            if batch:
                self._compute(batch, pool)
            elif moved:
                continue
            elif feed.dry and not (self._reading or self._waiting or self._writing):
                if feed.error:
                    raise feed.error
                return
            else:
                self._wake.wait()

    def _submit(self, pool: ThreadPoolExecutor, work: Callable[..., Any], *given: Any) -> Future[Any]:
        future = pool.submit(work, *given)
        future.add_done_callback(lambda _: self._wake.set())
        return future

    # reading

    def _feed(self, feed: _Feed, pool: ThreadPoolExecutor) -> bool:
        moved = False
        while len(self._reading) + len(self._waiting) < self._window and len(self._writing) < 2 * self._window:
            source = feed.get()
            if source is None:
                break
            self._reading.append((source, self._submit(pool, self._read, source)))
            moved = True
        return moved

    def _read(self, source: Input) -> _Item[R]:
        start = time.perf_counter()
        if source.error:
            raise source.error
        return _Item(source, self._stages.read(source), time.perf_counter() - start)

    def _gather(self) -> bool:
        moved = False
        while self._reading and self._reading[0][1].done():
            moved = True
            source, future = self._reading.popleft()
            error = future.exception()
            if error is None:
                self._waiting.append(future.result())
            else:
                self._writing.append(_done([self._failed(source, error)]))
        return moved

    def _failed(self, source: Input, error: BaseException) -> Record:
        """The record of a failure; raises what concerns more than this image."""
        expected = isinstance(error, InputError)
        if not isinstance(error, Exception) or isinstance(error, RequestError) or (self._pace.strict and not expected):
            raise error
        return failure(source, error)

    # computing

    def _batch(self, feed: _Feed) -> list[_Item[R]]:
        """The next images to compute: a full batch, or what there is when nothing else is to be done."""
        engines = len(self._stages.engines) if self._proven else 1
        busy = self._computing >= engines or len(self._writing) >= 2 * self._window
        if busy or not self._waiting:
            return []
        groups: dict[Hashable, list[_Item[R]]] = {}
        for item in self._waiting:
            group = groups.setdefault(self._stages.shape(item.read), [])
            group.append(item)
            if len(group) == self._size:
                return self._taken(group)
        idle = not self._reading and feed.ready.empty()
        full = len(self._waiting) >= self._window
        return self._taken(next(iter(groups.values()))) if idle or full else []

    def _taken(self, group: list[_Item[R]]) -> list[_Item[R]]:
        taken = set(map(id, group))
        self._waiting = [item for item in self._waiting if id(item) not in taken]
        return group

    def _compute(self, batch: list[_Item[R]], pool: ThreadPoolExecutor) -> None:
        if self._inline:
            found = self._timed(batch)
            self._writing.extend(self._submit(pool, self._write, item, one) for item, one in found)
            return
        with self._lock:
            self._computing += 1
        self._writing.append(self._submit(pool, self._compute_and_write, batch))

    def _compute_and_write(self, batch: list[_Item[R]]) -> list[Record]:
        try:
            found = self._timed(batch)
        finally:
            with self._lock:
                self._computing -= 1
            self._wake.set()
        return [record for item, one in found for record in self._write(item, one)]

    def _timed(self, batch: list[_Item[R]]) -> list[tuple[_Item[R], C | Exception]]:
        start, engine = time.perf_counter(), self._engines.get()
        try:
            found = self._attempt(engine, batch)
        finally:
            self._engines.put(engine)
        share = (time.perf_counter() - start) / len(batch)
        return [(replace(item, seconds=item.seconds + share), one) for item, one in zip(batch, found, strict=True)]

    def _attempt(self, engine: Any, batch: list[_Item[R]]) -> list[C | Exception]:
        """What the engine finds; halved when memory runs out, one by one to find out which image is to blame."""
        size = self._size
        if len(batch) > size:
            return self._attempt(engine, batch[:size]) + self._attempt(engine, batch[size:])
        full = batch + [batch[-1]] * (size - len(batch))
        try:
            found = list(engine([item.read for item in full]))[: len(batch)]
            self._proven = True
            return found
        except Exception as error:
            if self._pace.out_of_memory(error):
                if size > 1:
                    self._halve(size)
                    return self._attempt(engine, batch)
                hint = "--device cpu, --precision bf16, or a smaller --input-size"
                return [InputError(f"not enough memory for '{batch[0].source.path}' alone", hint)]
            if len(batch) > 1:
                return [found for item in batch for found in self._attempt(engine, [item])]
            if not isinstance(error, RequestError):
                return [error]
            if not self._proven:
                raise
            return [InputError(f"'{batch[0].source.path}': {error.message}", error.hint)]

    def _halve(self, size: int) -> None:
        with self._lock:
            if self._size == size:
                self._size = size // 2
        self._pace.smaller(self._size)

    # writing

    def _write(self, item: _Item[R], found: C | Exception) -> list[Record]:
        if isinstance(found, Exception):
            return [self._failed(item.source, found)]
        start = time.perf_counter()
        try:
            record = self._stages.write(item.source, item.read, found)
        except Exception as error:
            return [self._failed(item.source, error)]
        return [replace(record, seconds=item.seconds + time.perf_counter() - start)]

    def _finished(self) -> Iterator[Record]:
        while self._writing and self._writing[0].done():
            yield from self._writing.popleft().result()


def _done(records: list[Record]) -> Future[list[Record]]:
    future: Future[list[Record]] = Future()
    future.set_result(records)
    return future
