"""The batcher: what many threads ask for at the same time becomes one product."""

import threading
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from elman.runtime.rows import Rows

Array = NDArray[Any]


class HasRows(Protocol):
    """A model: :class:`~elman.runtime.model.Model`."""

    @property
    def rows(self) -> Rows:
        """What computes."""
        ...


class _Ticket:
    """Rows that one caller waits for."""

    def __init__(self, states: Array, x: Array) -> None:
        self.states, self.x = states, x
        self.leads = True  # computes for all that wait, its own rows among them
        self.woken: threading.Event | None = None  # what one waits for that does not lead
        self.result: tuple[Array, Array] | None = None
        self.error: BaseException | None = None

    def wake(self) -> None:
        """It is computed, or leads."""
        if self.woken:
            self.woken.set()


class Batcher:
    """Advances the streams of many threads together: ``y, states = batcher.advance(states, x)``.

    While one batch is computed, those who come gather for the next, and one of them computes it:
    there is no thread of its own and no waiting for company. What comes of a row is the same,
    to the last bit, whatever the company. Rows are computed apart from those of ``model.rows``.
    """

    def __init__(self, model: HasRows) -> None:
        self._rows: Rows = model.rows.sibling()
        self._lock = threading.Lock()
        self._waiting: list[_Ticket] = []
        self._busy = False

    @property
    def start(self) -> Array:
        """The initial state, one row."""
        return self._rows.start

    @property
    def hidden(self) -> slice:
        """Where in a row the last layer's ``h`` is."""
        return self._rows.hidden

    def advance(self, states: Array, x: Array) -> tuple[Array, Array]:
        """States ``(N, size)`` and inputs ``(N, ..)`` to outputs and new states, N rows each.

        Blocks the calling thread. Raises :class:`~elman.errors.UsageError` for rows that do not
        fit the model; nobody else hears of it.
        """
        self._rows.check(states, x)
        mine = _Ticket(states, x)
        with self._lock:
            self._waiting.append(mine)
            if self._busy:
                mine.leads, mine.woken = False, threading.Event()
            self._busy = True
        if mine.woken:
            mine.woken.wait()
        if mine.leads:
            self._lead()
        if mine.error is not None:
            raise mine.error
        assert mine.result is not None
        return mine.result

    def _lead(self) -> None:
        """Compute for all that wait, then let one of those who came meanwhile do the same."""
        with self._lock:
            batch, self._waiting = self._waiting, []
        try:
            self._compute(batch)
        except BaseException as error:
            for ticket in batch:
                ticket.error = ticket.error or error
        finally:
            with self._lock:
                self._busy = bool(self._waiting)
                if self._waiting:
                    self._waiting[0].leads = True
                    self._waiting[0].wake()
            for ticket in batch:
                ticket.wake()

    def _compute(self, batch: list[_Ticket]) -> None:
        if len(batch) == 1:
            batch[0].result = self._rows.advance(batch[0].states, batch[0].x)
            return
        states = np.concatenate([ticket.states for ticket in batch])
        y, after = self._rows.advance(states, np.concatenate([ticket.x for ticket in batch]))
        first = 0
        for ticket in batch:
            last = first + len(ticket.x)
            # Copies: a caller that keeps its rows must not keep those of all others.
            ticket.result = y[first:last].copy(), after[first:last].copy()
            first = last
