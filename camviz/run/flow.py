"""Run images through three stages: read and write in threads, compute in batches, return records in order.

Memory does not grow with the number of images: only a window of them is in progress at any time.
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

from camviz.errors import CamvizError, OutputError
from camviz.io.inputs import Input
from camviz.io.opening import Postponed, reserving
from camviz.run.database.records import Record, failure, model_failure
from camviz.run.memory import Budget

R = TypeVar("R")
C = TypeVar("C")


@dataclass(frozen=True)
class Stages(Generic[R, C]):
    """The three stages of an image. `read` and `write` run in many threads; each engine in one thread at a time.

    An engine takes images of one `shape` and returns a result for each; an exception among the results fails that
    image alone. `pad`: fill up every batch with copies of its last image, so that a result does not depend on which
    other images are in the batch.
    """

    read: Callable[[Input], R]
    shape: Callable[[R], Hashable]
    engines: Sequence[Callable[[list[R]], Sequence[C | Exception]]]
    write: Callable[[Input, R, C], Record]
    pad: bool = True


@dataclass(frozen=True)
class Pace:
    """The number of images in a batch, and of threads that read and write.

    `strict`: an unexpected error ends the run instead of failing its image. `smaller` is called with the new batch
    size when memory ran out.
    """

    batch: int = 1
    threads: int = 2
    strict: bool = False
    out_of_memory: Callable[[BaseException], bool] = lambda error: isinstance(error, MemoryError)
    smaller: Callable[[int], None] = lambda _size: None
    memory: int = 2**60  # bytes


@dataclass(eq=False)
class _Item(Generic[R]):
    """An image after `read`, with the seconds spent on it so far, and the bytes reserved for it."""

    source: Input
    read: R
    seconds: float
    need: int = 0


@dataclass(eq=False)
class _Feed:
    """List the inputs in a separate thread, a little ahead, so that a slow listing does not block the flow."""

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
        """Return the next input if it is listed already."""
        try:
            return self.ready.get_nowait()
        except queue.Empty:
            return None

    @property
    def dry(self) -> bool:
        """Whether all inputs were taken."""
        return self.ended and self.ready.empty()


class Flow(Generic[R, C]):
    """One pass of inputs through stages. Iterate over it once; records come in the order of the batches."""

    def __init__(self, inputs: Iterable[Input], stages: Stages[R, C], pace: Pace) -> None:
        self._inputs, self._stages, self._pace = inputs, stages, pace
        self._size = pace.batch
        self._wake, self._lock = threading.Event(), threading.Lock()
        self._engines: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for engine in stages.engines:
            self._engines.put(engine)
        self._inline = len(stages.engines) == 1  # in the calling thread, where Ctrl-C reaches it
        self._computing = 0
        self._proven = False  # whether the model has worked at all; until then one batch at a time is computed
        self._reading: deque[tuple[Input, Future[_Item[R]]]] = deque()
        self._waiting: list[_Item[R]] = []
        self._writing: deque[Future[Any]] = deque()
        self._window = 2 * (pace.threads + pace.batch * len(stages.engines))
        self._budget = Budget(pace.memory)
        self._small = pace.memory // (6 * self._window)  # bytes of images that are not counted: half of all at most
        self._postponed: deque[tuple[Input, int]] = deque()  # images that wait for memory, and the bytes they need
        self._alone: set[str] = set()  # names of images for which memory ran out beside others

    def __iter__(self) -> Iterator[Record]:
        pool = ThreadPoolExecutor(self._pace.threads, "camviz")
        feed = _Feed(self._inputs, self._wake, self._window)
        try:
            with warnings.catch_warnings():  # warnings of decoders, which threads cannot catch themselves
                warnings.filterwarnings("ignore", module=r"PIL\.")
                yield from self._run(feed, pool)
        except KeyboardInterrupt:
            for _, reading in self._reading:
                reading.cancel()
            pool.shutdown(wait=True)
            yield from self._finished()  # what is computed is written, and counts as done
            raise
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
            elif feed.dry and not (self._busy or self._postponed):
                if feed.error:
                    raise feed.error
                return
            else:
                self._wake.wait()

    @property
    def _busy(self) -> bool:
        return bool(self._reading or self._waiting or self._writing)

    @property
    def _memory_full(self) -> bool:
        """Whether no further image is read until others are finished."""
        return bool(self._postponed) or self._budget.full

    def _submit(self, pool: ThreadPoolExecutor, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future = pool.submit(work, *arguments)
        future.add_done_callback(lambda _: self._wake.set())
        return future

    # reading

    def _feed(self, feed: _Feed, pool: ThreadPoolExecutor) -> bool:
        moved = self._resume(pool)
        while (
            not self._memory_full
            and len(self._reading) + len(self._waiting) < self._window
            and len(self._writing) < 2 * self._window
        ):
            source = feed.get()
            if source is None:
                break
            self._reading.append((source, self._submit(pool, self._read, source)))
            moved = True
        return moved

    def _resume(self, pool: ThreadPoolExecutor) -> bool:
        """Read postponed images as far as memory allows; one that failed beside others is read alone."""
        moved = False
        while self._postponed:
            source, need = self._postponed[0]
            if (source.name in self._alone and self._busy) or not self._budget.take(need):
                break
            self._postponed.popleft()
            self._reading.append((source, self._submit(pool, self._read, source, need)))
            moved = True
        return moved

    def _read(self, source: Input, taken: int = 0) -> _Item[R]:
        """Read an image, for which `taken` bytes are reserved; reserve them if it is large and there is room."""
        start = time.perf_counter()

        def reserve(need: int) -> bool:
            nonlocal taken
            if need <= max(taken, self._small):
                return True
            self._budget.give(taken)
            taken = need if self._budget.take(need) else 0
            return bool(taken)

        try:
            if source.error:
                raise source.error
            with reserving(reserve):
                ready = self._stages.read(source)
            return _Item(source, ready, time.perf_counter() - start, taken)
        except BaseException:
            self._budget.give(taken)
            raise

    def _gather(self) -> bool:
        moved = False
        while self._reading and self._reading[0][1].done():
            moved = True
            source, future = self._reading.popleft()
            error = future.exception()
            if error is None:
                self._waiting.append(future.result())
            elif isinstance(error, Postponed):
                self._postponed.append((source, error.need))
            else:
                self._writing.append(_done(self._failed(source, error)))
        return moved

    def _failed(self, source: Input, error: BaseException) -> list[Record]:
        """Return the record of an image that failed; raise an error that concerns the whole run.

        Where memory ran out beside other images there is no record yet: the image is read again, alone.
        """
        if self._pace.out_of_memory(error) and source.name not in self._alone:
            self._alone.add(source.name)
            self._postponed.append((source, self._pace.memory))
            return []
        strict = self._pace.strict and not isinstance(error, CamvizError) and not self._pace.out_of_memory(error)
        if isinstance(error, SystemExit):  # of the user's code: not the end of the run
            return [failure(source, model_failure(error))]
        if not isinstance(error, Exception) or isinstance(error, OutputError) or strict:
            raise error
        return [failure(source, error, self._pace.out_of_memory(error))]

    # computing

    def _batch(self, feed: _Feed) -> list[_Item[R]]:
        """Return the next images to compute: a full batch, or a smaller one when nothing else can be done."""
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
        idle = not self._reading and (feed.ready.empty() or self._memory_full)
        full = len(self._waiting) >= self._window
        return self._taken(next(iter(groups.values()))) if idle or full else []

    def _taken(self, group: list[_Item[R]]) -> list[_Item[R]]:
        taken = set(map(id, group))
        self._waiting = [item for item in self._waiting if id(item) not in taken]
        return group

    def _compute(self, batch: list[_Item[R]], pool: ThreadPoolExecutor) -> None:
        if self._inline:
            results = self._timed(batch)
            self._writing.extend(self._submit(pool, self._write, item, result) for item, result in results)
            return
        with self._lock:
            self._computing += 1
        self._writing.append(self._submit(pool, self._compute_and_write, batch))

    def _compute_and_write(self, batch: list[_Item[R]]) -> list[Record]:
        try:
            results = self._timed(batch)
        finally:
            with self._lock:
                self._computing -= 1
            self._wake.set()
        return [record for item, result in results for record in self._write(item, result)]

    def _timed(self, batch: list[_Item[R]]) -> list[tuple[_Item[R], C | Exception]]:
        start, engine = time.perf_counter(), self._engines.get()
        try:
            results = self._attempt(engine, batch)
        finally:
            self._engines.put(engine)
        share = (time.perf_counter() - start) / len(batch)
        return [(replace(item, seconds=item.seconds + share), made) for item, made in zip(batch, results, strict=True)]

    def _attempt(self, engine: Any, batch: list[_Item[R]]) -> list[C | Exception]:
        """Compute a batch: in halves when memory runs out, one image at a time after any other error."""
        size = self._size
        if len(batch) > size:
            return self._attempt(engine, batch[:size]) + self._attempt(engine, batch[size:])
        full = batch + [batch[-1]] * (size - len(batch)) if self._stages.pad else batch
        try:
            results = list(engine([item.read for item in full]))[: len(batch)]
            self._proven = True
            return results
        except (Exception, SystemExit) as error:
            if self._pace.out_of_memory(error) and len(full) > 1:
                self._halve(size)
                return self._attempt(engine, batch)
            if len(batch) > 1:
                return [result for item in batch for result in self._attempt(engine, [item])]
            if isinstance(error, Exception) and (self._pace.strict or self._pace.out_of_memory(error)):
                return [error]
            return [model_failure(error)]

    def _halve(self, size: int) -> None:
        with self._lock:
            if self._size == size:
                self._size = max(1, size // 2)
        self._pace.smaller(self._size)

    # writing

    def _write(self, item: _Item[R], result: C | Exception) -> list[Record]:
        start = time.perf_counter()
        try:
            if isinstance(result, Exception):
                raise result
            record = self._stages.write(item.source, item.read, result)
        except (Exception, SystemExit) as error:
            return self._failed(item.source, error)
        finally:
            self._budget.give(item.need)
        return [replace(record, seconds=item.seconds + time.perf_counter() - start)]

    def _finished(self) -> Iterator[Record]:
        while self._writing and self._writing[0].done():
            yield from self._writing.popleft().result()


def _done(records: list[Record]) -> Future[list[Record]]:
    future: Future[list[Record]] = Future()
    future.set_result(records)
    return future
