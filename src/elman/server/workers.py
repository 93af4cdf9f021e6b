"""The threads that compute, so that the event loop never does."""

import asyncio
import threading
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from elman.decode.predictor import Predictor, Read, Search, Wanted, together
from elman.server.metrics import Metrics

T = TypeVar("T")
Turns = Generator[Wanted | None, Read | None, T]
"""A job: it yields None at the end of a turn, what it wants computed, and returns."""
COMPANY = 8  # turns that a thread takes in step: what they want is one product
_END = object()


class Workers:
    """Runs jobs: generators that yield where somebody else may have a turn.

    Turns are begun in the order in which they were asked for, so that a long job delays
    others by one turn of its own, and no more.
    """

    def __init__(self, threads: int, metrics: Metrics) -> None:
        self._metrics = metrics
        self._waiting: deque[_Turn] = deque()
        self._news = threading.Condition()
        self._closed = False
        for number in range(threads):
            name = f"compute-{number}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    @property
    def late(self) -> float:
        """For how many seconds the next turn has waited."""
        with self._news:
            return time.monotonic() - self._waiting[0].since if self._waiting else 0.0

    async def finish(self, job: Turns[T]) -> T:
        """What ``job`` returns, after as many turns as it wants."""
        while True:
            done, value = await self._turn(_step(job))
            if done:
                return value  # type: ignore[return-value]

    async def run(self, job: Iterator[T]) -> AsyncIterator[T]:
        """What ``job`` yields, a turn each."""
        while (found := await self.call(lambda: next(job, _END))) is not _END:
            yield found  # type: ignore[misc]

    async def call(self, function: Callable[[], T]) -> T:
        """What ``function`` returns, computed by some thread."""
        return await self._turn(_whole(function))

    async def _turn(self, search: Search[T]) -> T:
        turn = _Turn(search, asyncio.get_running_loop())
        with self._news:
            self._waiting.append(turn)
            self._news.notify()
        try:
            found: T = await turn.end
            return found
        except asyncio.CancelledError:  # who has gone waits no more
            with self._news, suppress(ValueError):
                self._waiting.remove(turn)
            raise

    def _work(self) -> None:
        company: list[_Turn] = []
        closed = False  # to others, until it has ended: a turn that wants nothing takes long
        while not self._closed:
            company = [turn for turn in company if turn.go_on()]
            closed = closed and bool(company)
            while not closed and len(company) < COMPANY:
                turn = self._begin(wait=not company)
                if turn is None:
                    break
                if turn.go_on():
                    company.append(turn)
                else:
                    closed = bool(company)
            _compute(company)

    def _begin(self, wait: bool) -> "_Turn | None":
        """Take the first turn of those that wait, if there is one, or as soon as there is."""
        with self._news:
            while wait and not self._waiting and not self._closed:
                self._news.wait()
            if not self._waiting or self._closed:
                return None
            turn = self._waiting.popleft()
        self._metrics.waited.observe(time.monotonic() - turn.since)
        return turn

    def close(self) -> None:
        """Let the threads end after the step they are in."""
        with self._news:
            self._closed = True
            self._news.notify_all()


class _Turn:
    """A turn that was asked for: a search, and who waits for its end."""

    def __init__(self, search: Search[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._search, self._loop = search, loop
        self.end = loop.create_future()
        self.since = time.monotonic()
        self.wanted: Wanted | None = None
        self.read: Read | BaseException | None = None  # what came of it

    def go_on(self) -> bool:
        """Up to the next timestep that is wanted; False at the end, of which the loop is told."""
        try:
            if isinstance(self.read, BaseException):
                self.wanted = self._search.throw(self.read)
            else:
                self.wanted = self._search.send(self.read)  # type: ignore[arg-type]
            return True
        except StopIteration as end:
            self._tell(end.value, None)
        except BaseException as error:
            self._tell(None, error)
        return False

    def _tell(self, value: Any, error: BaseException | None) -> None:
        def tell() -> None:
            if self.end.done():  # who waited has gone
                return
            if error is None:
                self.end.set_result(value)
            else:
                self.end.set_exception(error)

        with suppress(RuntimeError):  # the loop is closed, nobody waits
            self._loop.call_soon_threadsafe(tell)


def _compute(company: list[_Turn]) -> None:
    """What all turns want, in one product a model."""
    groups: defaultdict[Predictor, list[tuple[_Turn, Wanted]]] = defaultdict(list)
    for turn in company:
        assert turn.wanted is not None
        groups[turn.wanted.predictor].append((turn, turn.wanted))
    for group in groups.values():
        try:
            results = together([wanted for _, wanted in group])
        except Exception as error:
            if len(group) == 1:
                group[0][0].read = error
            else:
                for turn, _ in group:  # one of them is to blame, and nobody else hears of it
                    _compute([turn])
        else:
            for (turn, _), read in zip(group, results, strict=True):
                turn.read = read


def _whole(function: Callable[[], T]) -> Search[T]:
    """A turn that wants nothing."""
    yield from ()
    return function()


def _step(job: Turns[T]) -> Search[tuple[bool, T | None]]:
    """One turn of a job: whether it was the last, and what the job returned then."""
    read: Read | None = None
    try:
        while (wanted := job.send(read)) is not None:
            read = yield wanted
    except StopIteration as end:
        return True, end.value
    return False, None
