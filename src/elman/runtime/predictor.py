"""A text model as ``elman.decode`` sees it."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from elman.encode.text import Vocabulary
from elman.runtime.engine import log_softmax

Array = NDArray[Any]


class Advancer(Protocol):
    """Rows of the model, or what gathers those of many callers: a ``Batcher``."""

    @property
    def start(self) -> Array:
        """The initial state, one row."""
        ...

    @property
    def hidden(self) -> slice:
        """Where in a row the last layer's ``h`` is."""
        ...

    def advance(self, states: Array, x: Array) -> tuple[Array, Array]:
        """States ``(N, size)`` and ids ``(N,)`` to outputs ``(N, V)`` and new states."""
        ...


class RowsPredictor:
    """A :class:`~elman.decode.predictor.Predictor`; a state is an array ``(N, size)``.

    Two are equal that compute with the same rows, so that both may do so in one product.
    """

    def __init__(self, rows: Advancer, vocabulary: Vocabulary) -> None:
        self._rows = rows
        self.vocabulary = vocabulary

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowsPredictor) and other._rows is self._rows

    def __hash__(self) -> int:
        return id(self._rows)

    def start(self) -> Array:
        """Return the state before any token, one row."""
        return self._rows.start

    def advance(self, state: Array, tokens: NDArray[np.int32]) -> tuple[Array, Array]:
        """Feed one token a row: ``(N,)`` -> log-probabilities ``(N, V)``, the new state."""
        y, state = self._rows.advance(state, tokens)
        log_softmax(y)
        return y, state

    def select(self, state: Array, rows: slice) -> Array:
        """A view of ``rows`` of a state."""
        return state[rows]

    def hidden(self, state: Array) -> NDArray[np.float32]:
        """A copy of the last layer's ``h`` in the first row of ``state``."""
        return np.array(state[0, self._rows.hidden], np.float32)

    def join(self, states: Sequence[Array]) -> Array:
        """Return the rows of all ``states``, one after the other."""
        return np.concatenate(states)
