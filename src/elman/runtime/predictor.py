"""A text model as ``elman.decode`` sees it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.decode.predictor import Predictor, check_log_probs
from elman.decode.tree import Node
from elman.encode.text import Vocabulary
from elman.errors import UsageError
from elman.runtime.batch import Batcher
from elman.runtime.engine import log_softmax
from elman.runtime.rows import Rows
from elman.runtime.state import State, checked, flat, split

Array = NDArray[Any]


NO_TOKEN = 0xFFFFFFFF  # of a node that none led to


class RowsPredictor(Predictor):
    """A :class:`~elman.decode.predictor.Predictor`; a state is an array ``(N, size)``.

    ``rows``: the model's, or what gathers those of many callers. Two are equal that compute with
    the same rows, so that both may do so in one product.
    """

    def __init__(self, rows: Rows | Batcher, vocabulary: Vocabulary) -> None:
        self.rows, self.vocabulary = rows, vocabulary

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowsPredictor) and other.rows is self.rows

    def __hash__(self) -> int:
        return id(self.rows)

    def start(self) -> Array:
        """Return the state before any token, one row."""
        return self.rows.start

    def advance(self, state: Array, tokens: NDArray[np.int32]) -> tuple[Array, Array]:
        """Feed one token a row: ``(N,)`` -> log-probabilities ``(N, V)``, the new state."""
        y, state = self.rows.advance(state, tokens)
        log_softmax(y)
        return y, state

    def step(self, state: Array, token: int) -> tuple[NDArray[np.float64], Array]:
        """Feed one token of one text: log-probabilities ``(V,)``, the new state."""
        log_probs, state = self.rows.predict(state, token)
        if not log_probs[0] < np.inf:  # one output that is no number makes the whole row so
            check_log_probs(log_probs)
        return log_probs, state

    def timestep(self, state: Array, x: Any) -> tuple[Array, Node]:
        """An id, as an int or an array ``()``, to the outputs ``(V,)`` and the node behind it."""
        ids = np.asarray(x)
        if ids.shape != () or ids.dtype.kind != "i" or not 0 <= ids < len(self.vocabulary):
            rule = f"x must be an id from 0 to {len(self.vocabulary) - 1}"
            found = f"found {ids.dtype} of {ids.shape}" if ids.shape else f"found {ids}"
            raise UsageError("TextStream.timestep", f"{rule}, {found}")
        y, after = self.rows.advance(state, ids.reshape(1).astype(np.int64))
        return y[0].copy(), Node(state, int(ids), self._log_probs(y), after)

    def at(self, state: Array) -> Node:
        """The node of a state of which nobody knows what led to it."""
        return Node(state, NO_TOKEN, self._log_probs(self.rows.outputs(state)), state)

    def _log_probs(self, y: Array) -> NDArray[np.float64]:
        log_softmax(y)
        check_log_probs(y)
        log_probs: NDArray[np.float64] = y[0].astype(np.float64)
        return log_probs

    def state(self, row: Array) -> State:
        """The first row as arrays, one tuple a layer."""
        return split(self.rows.plan, (), row[0])

    def row(self, operation: str, state: Sequence[Sequence[ArrayLike]]) -> Array:
        """The opposite, checked."""
        row = flat(checked(operation, self.rows.plan, (), state))[None]
        if not np.isfinite(row).all():
            raise UsageError(operation, "state must be finite, found NaN or infinity")
        return row

    def select(self, state: Array, rows: slice) -> Array:
        """A view of ``rows`` of a state."""
        return state[rows]

    def hidden(self, state: Array) -> NDArray[np.float32]:
        """A copy of the last layer's ``h`` in the first row of ``state``."""
        return np.array(state[0, self.rows.hidden], np.float32)

    def join(self, states: Sequence[Array]) -> Array:
        """Return the rows of all ``states``, one after the other."""
        return np.concatenate(states)
