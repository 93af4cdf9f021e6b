"""The threads that compute, so that the event loop never does."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from elman.server.metrics import Metrics

T = TypeVar("T")
Turns = Generator[None, None, T]  # a job: it yields at the end of a turn, and returns
_END = object()


class Workers:
    """Runs jobs: generators that yield where somebody else may have a turn.

    Turns are taken in the order in which they were asked for, so that a long job delays
    others by one turn of its own, and no more.
    """

    def __init__(self, threads: int, metrics: Metrics) -> None:
        self._threads = ThreadPoolExecutor(threads, "compute")
        self._waiting: dict[object, float] = {}  # since when each turn waits, in their order
        self._lock = threading.Lock()
        self._metrics = metrics

    @property
    def late(self) -> float:
        """For how many seconds the next turn has waited."""
        with self._lock:
            now = time.monotonic()
            return now - next(iter(self._waiting.values()), now)

    async def finish(self, job: Turns[T]) -> T:
        """What ``job`` returns, after as many turns as it wants."""
        while True:
            done, value = await self.call(lambda: _step(job))
            if done:
                return value  # type: ignore[return-value]

    async def run(self, job: Iterator[T]) -> AsyncIterator[T]:
        """What ``job`` yields, a turn each."""
        while (found := await self.call(lambda: next(job, _END))) is not _END:
            yield found  # type: ignore[misc]

    async def call(self, function: Callable[[], T]) -> T:
        """What ``function`` returns, computed by some thread."""
        turn, loop = object(), asyncio.get_running_loop()
        with self._lock:
            self._waiting[turn] = time.monotonic()
        try:
            return await loop.run_in_executor(self._threads, self._take, turn, function)
        finally:
            self._begin(turn)  # who is cancelled while waiting waits no more

    def _take(self, turn: object, function: Callable[[], T]) -> T:
        self._metrics.waited.observe(self._begin(turn))
        return function()

    def _begin(self, turn: object) -> float:
        """Take a turn from those that wait: for how many seconds it did."""
        with self._lock:
            now = time.monotonic()
            return now - self._waiting.pop(turn, now)

    def close(self) -> None:
        """Let the threads end after the turn they are in."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _step(job: Turns[T]) -> tuple[bool, T | None]:
    """One turn: whether it was the last, and what the job returned then."""
    try:
        next(job)
    except StopIteration as end:
        return True, end.value
    return False, None
