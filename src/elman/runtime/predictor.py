"""A text model as ``elman.decode`` sees it."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.decode.predictor import Predictor, check_log_probs
from elman.decode.sample import Sampling
from elman.decode.tree import Node
from elman.encode.text import Vocabulary
from elman.errors import UsageError
from elman.runtime.engine import log_softmax
from elman.runtime.plan import Plan
from elman.runtime.rows import Step
from elman.runtime.state import State, checked, flat, split

Array = NDArray[Any]


NO_TOKEN = 0xFFFFFFFF  # of a node that none led to


class Advancer(Protocol):
    """Rows of the model, or what gathers those of many callers: a ``Batcher``."""

    @property
    def start(self) -> Array:
        """The initial state, one row."""
        ...

    @property
    def plan(self) -> Plan:
        """The layers."""
        ...

    @property
    def hidden(self) -> slice:
        """Where in a row the last layer's ``h`` is."""
        ...

    def advance(self, states: Array, x: Array) -> tuple[Array, Array]:
        """States ``(N, size)`` and ids ``(N,)`` to outputs ``(N, V)`` and new states."""
        ...

    def predict(self, state: Array, token: int) -> tuple[NDArray[np.float64], Array]:
        """One row and an id to the log-probabilities ``(V,)`` of the next, and the new row."""
        ...

    def outputs(self, state: Array) -> Array:
        """A row of states ``(1, size)`` to the outputs ``(1, V)`` it came with."""
        ...

    def compose(
        self,
        state: Array,
        token: int,
        forbidden: NDArray[np.intp],
        uniforms: NDArray[np.float64],
        sampling: Sampling,
    ) -> Iterator[Step] | None:
        """Several tokens drawn one after the other; None where it must be done one by one."""
        ...


class RowsPredictor(Predictor):
    """A :class:`~elman.decode.predictor.Predictor`; a state is an array ``(N, size)``.

    Two are equal that compute with the same rows, so that both may do so in one product.
    """

    def __init__(self, rows: Advancer, vocabulary: Vocabulary) -> None:
        self._rows, self.vocabulary = rows, vocabulary

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

    def step(self, state: Array, token: int) -> tuple[NDArray[np.float64], Array]:
        """Feed one token of one text: log-probabilities ``(V,)``, the new state."""
        log_probs, state = self._rows.predict(state, token)
        if not log_probs[0] < np.inf:  # one output that is no number makes the whole row so
            check_log_probs(log_probs)
        return log_probs, state

    def compose(
        self,
        state: Array,
        token: int,
        forbidden: NDArray[np.intp],
        uniforms: NDArray[np.float64],
        sampling: Sampling,
    ) -> Iterator[Step] | None:
        """See :meth:`elman.runtime.rows.Rows.compose`."""
        return self._rows.compose(state, token, forbidden, uniforms, sampling)

    def timestep(self, state: Array, x: Any) -> tuple[Array, Node]:
        """An id, as an int or an array ``()``, to the outputs ``(V,)`` and the node behind it."""
        ids = np.asarray(x)
        if ids.shape != () or ids.dtype.kind != "i" or not 0 <= ids < len(self.vocabulary):
            rule = f"x must be an id from 0 to {len(self.vocabulary) - 1}"
            found = f"found {ids.dtype} of {ids.shape}" if ids.shape else f"found {ids}"
            raise UsageError("TextStream.timestep", f"{rule}, {found}")
        y, after = self._rows.advance(state, ids.reshape(1).astype(np.int64))
        return y[0].copy(), Node(state, int(ids), self._log_probs(y), after)

    def at(self, state: Array) -> Node:
        """The node of a state of which nobody knows what led to it."""
        return Node(state, NO_TOKEN, self._log_probs(self._rows.outputs(state)), state)

    def _log_probs(self, y: Array) -> NDArray[np.float64]:
        log_softmax(y)
        check_log_probs(y)
        log_probs: NDArray[np.float64] = y[0].astype(np.float64)
        return log_probs

    def state(self, row: Array) -> State:
        """The first row as arrays, one tuple a layer."""
        return split(self._rows.plan, (), row[0])

    def row(self, operation: str, state: Sequence[Sequence[ArrayLike]]) -> Array:
        """The opposite, checked."""
        row = flat(checked(operation, self._rows.plan, (), state))[None]
        if not np.isfinite(row).all():
            raise UsageError(operation, "state must be finite, found NaN or infinity")
        return row

    def select(self, state: Array, rows: slice) -> Array:
        """A view of ``rows`` of a state."""
        return state[rows]

    def hidden(self, state: Array) -> NDArray[np.float32]:
        """A copy of the last layer's ``h`` in the first row of ``state``."""
        return np.array(state[0, self._rows.hidden], np.float32)

    def join(self, states: Sequence[Array]) -> Array:
        """Return the rows of all ``states``, one after the other."""
        return np.concatenate(states)
