"""The batcher: what many threads ask for at the same time becomes one product."""

import threading
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from elman.runtime.engine import log_softmax
from elman.runtime.plan import Plan
from elman.runtime.rows import Rows, Step

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
    def plan(self) -> Plan:
        """The layers."""
        return self._rows.plan

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

    def predict(self, state: Array, token: int) -> tuple[NDArray[np.float64], Array]:
        """One row and a token's id to the log-probabilities ``(V,)`` of the next, and its row.

        As :meth:`advance`, but who finds nobody at work does it without further ado.
        """
        if not self._alone():
            y, after = self.advance(state, np.array([token]))
            log_softmax(y)
            return y[0].astype(np.float64), after
        try:
            return self._rows.predict(state, token)
        finally:
            self._hand_over()

    def compose(self, *asked: Any) -> Iterator[Step] | None:
        """:meth:`elman.runtime.rows.Rows.compose` for who finds nobody at work, and else None."""
        if not self._alone():
            return None
        try:
            return self._rows.compose(*asked)
        finally:
            self._hand_over()

    def outputs(self, state: Array) -> Array:
        """The outputs ``(1, V)`` that a row ``(1, size)`` came with."""
        return self._rows.outputs(state)

    def _alone(self) -> bool:
        """Whether nobody is at work. Then the caller is, until it hands over."""
        with self._lock:
            alone, self._busy = not self._busy, True
        return alone

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
            self._hand_over()
            for ticket in batch:
                ticket.wake()

    def _hand_over(self) -> None:
        """Let one of those who wait compute next."""
        with self._lock:
            self._busy = bool(self._waiting)
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].wake()

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
