"""Rows: one timestep of any number of streams whose states the caller keeps."""

import threading
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.decode.sample import Sampling
from elman.errors import ModelError, UsageError
from elman.runtime.engine import Engine, engine, pack
from elman.runtime.plan import Plan, Recurrent

Array = NDArray[Any]
MOST = 256  # rows in one product
ROOM = 1 << 21  # bytes of one number a unit of the widest layer: fewer rows of a large vocabulary
Step = tuple[int, NDArray[np.float64], Array]  # a token, what it was drawn from, the state there


class Rows:
    """A model without a state of its own: ``y, states = rows.advance(states, x)``.

    A state is a row of :attr:`size` numbers: every state of every layer, one after the other. What
    comes of a row does not depend on the other rows, nor on how many there are, to the last bit.
    Several threads may use it; one computes at a time.
    """

    def __init__(self, plan: Plan, stack: Any) -> None:
        self.plan, self._stack = plan, stack
        widest = max(each.output_size for each in plan.layers) * plan.dtype.itemsize
        self._most = max(1, min(MOST, ROOM // widest))
        self._engine = engine(plan, stack, self._most)
        self._lock = threading.Lock()
        self.size = self._engine.state_size()
        self._outputs, self._dtype = plan.output_size, plan.dtype
        self.start = self._start()
        self._shape = (1, self.size)
        last = list(plan.specs[-1].state_sizes.values())
        first = self.size - sum(last)
        self.hidden = slice(first, first + last[0])  # the last layer's h

    def sibling(self) -> "Rows":
        """The same model, for somebody else to compute with at the same time."""
        return Rows(self.plan, self._stack)

    def _start(self) -> Array:
        """The initial state, one row."""
        one = engine(self.plan, self._stack, 1)
        arrays = []
        for layer, spec in enumerate(self.plan.specs):
            for index, size in enumerate(spec.state_sizes.values()):
                arrays.append(np.empty((1, size), self.plan.dtype))
                one.read(layer, index, arrays[-1])
        start = np.concatenate(arrays, axis=1)
        start.flags.writeable = False
        return start

    def check(self, states: Array, x: Array) -> None:
        """Raise :class:`~elman.errors.UsageError` unless they fit the model and each other."""
        dtype, rows = self.plan.dtype, len(x) if np.ndim(x) else 0
        if states.shape != (rows, self.size) or states.dtype != dtype or not rows:
            rule = f"states must be a {dtype} array of shape (N, {self.size}), a row for each of x"
            raise UsageError("advance", f"{rule}, found {states.dtype} of {states.shape}")
        if self.plan.embedding is None:
            inputs = self.plan.input_size
            if x.shape != (rows, inputs) or x.dtype != dtype:
                rule = f"x must be a {dtype} array of shape (N, {inputs})"
                raise UsageError("advance", f"{rule}, found {x.dtype} of {x.shape}")
            return
        tokens = len(self.plan.embedding)
        if x.ndim != 1 or x.dtype not in (np.int32, np.int64):
            rule = "x must be an int32 or int64 array of shape (N,)"
            raise UsageError("advance", f"{rule}, found {x.dtype} of {x.shape}")
        if not 0 <= x.min() <= x.max() < tokens:
            found = x.min() if x.min() < 0 else x.max()
            raise UsageError("advance", f"ids must be from 0 to {tokens - 1}, found {found}")

    def predict(self, state: Array, token: int) -> tuple[NDArray[np.float64], Array]:
        """A token's id and one row to the log-probabilities ``(V,)`` of the next, and its row.

        They are those of :meth:`advance`, to the last bit. Raises
        :class:`~elman.errors.UsageError` where the two do not fit the model.
        """
        log_probs, after = np.empty(self._outputs), np.empty(self._shape, self._dtype)
        try:
            with self._lock:
                self._engine.predict(token, state, log_probs, after)
        except ValueError as error:
            raise UsageError("predict", str(error)) from None
        return log_probs, after

    def outputs(self, state: Array) -> Array:
        """What :meth:`advance` gave with the row ``state`` ``(1, size)``: ``y`` ``(1, V)``."""
        y = np.empty((1, self._outputs), self._dtype)
        none = state[:, :0].copy()
        with self._lock:
            self._behind.advance(state[:, self.hidden].copy(), none, y, none.copy())
        return y

    @cached_property
    def _behind(self) -> Engine:
        """The layers behind the last recurrent one."""
        last = max(i for i, each in enumerate(self.plan.layers) if isinstance(each, Recurrent))
        plan = Plan(None, self.plan.layers[last + 1 :], self.plan.weights)
        return engine(plan, pack(plan), 1)

    def compose(
        self,
        state: Array,
        token: int,
        forbidden: NDArray[np.intp],
        uniforms: NDArray[np.float64],
        sampling: Sampling,
    ) -> Iterator[Step] | None:
        """``predict``, and draw what comes next, and again: a token for each of ``uniforms``.

        None where one of them cannot be drawn: one by one, it shows which, and why.
        """
        count = len(uniforms)
        tokens, log_probs = np.empty(count, np.int64), np.empty((count, self._outputs))
        after = np.empty((count, self.size), self._dtype)
        asked = token, state, forbidden, uniforms, *sampling
        try:
            with self._lock:
                self._engine.compose(*asked, tokens, log_probs, after)
        except (ValueError, ModelError):
            return None
        return zip(tokens.tolist(), log_probs, after[:, None], strict=True)

    def advance(self, states: Array, x: Array) -> tuple[Array, Array]:
        """``x`` ``(N, D)``, or ids ``(N,)``, and states ``(N, size)`` to ``y`` and new states.

        Raises :class:`~elman.errors.UsageError` where they do not fit.
        """
        states, rows = np.ascontiguousarray(states), len(x)
        y = np.empty((rows, self.plan.output_size), self.plan.dtype)
        after = np.empty_like(states)
        try:
            with self._lock:
                if rows <= self._most:
                    self._engine.advance(x, states, y, after)
                    return y, after
                for first in range(0, rows, self._most):
                    some = slice(first, first + self._most)
                    self._engine.advance(x[some], states[some], y[some], after[some])
        except ValueError as error:
            raise UsageError("advance", str(error)) from None
        return y, after
