"""A stream without the native core: the reference's cells, one timestep after another.

It gives the same numbers, at the speed of NumPy. The input of int8 weights is not rounded.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.decode.sample import draw
from elman.errors import check_shape
from elman.reference import build
from elman.reference.cell import Cell, State
from elman.runtime.plan import Dense, Plan, Recurrent
from elman.runtime.rounding import rounded

Array = NDArray[Any]


class TextbookStack:
    """The layers of a plan, their weights rounded as its format keeps them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.layers: list[Affine | Cell[Any]] = []
        for layer in plan.layers:
            if isinstance(layer, Dense):
                self.layers.append(Affine(**_kept(layer.arrays, plan.weights)))
            else:
                arrays = _kept(layer.arrays, plan.weights, layer.spec.order)
                self.layers.append(build(layer.spec, arrays))
        self.cells = [layer for layer in self.layers if not isinstance(layer, Affine)]
        self.keep = [layer.keep for layer in plan.layers if isinstance(layer, Recurrent)]


def log_softmax(row: Array) -> Array:
    """Outputs ``(V,)`` to log-probabilities of the same type."""
    shifted = row.astype(np.float64) - row.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()), row.dtype)


@dataclass(frozen=True)
class Affine:
    """``W v + b``, rows of ``v``."""

    weight: Array
    bias: Array | float = 0.0

    def __call__(self, v: Array) -> Array:
        """``v`` ``(N, D)`` to ``(N, H)``."""
        return np.asarray(v @ self.weight.T + self.bias)


def _kept(arrays: dict[str, Array], weights: str, order: int = 1) -> dict[str, Array]:
    kept = {}
    for name, array in arrays.items():
        blocks = order if name == "weight_hh" else 1
        narrowed = rounded(array, weights, blocks) if name.startswith("weight") else array
        kept[name] = narrowed.astype(np.float64)
    return kept


class TextbookStream:
    """The state of ``rows`` streams over a :class:`TextbookStack`."""

    def __init__(self, stack: TextbookStack, rows: int, batched: bool) -> None:
        self._stack, self._rows, self._batched = stack, rows, batched
        self._states: list[State] = []
        self.reset()

    def timestep(self, x: Array | int, out: Array, /) -> None:
        """``x`` ``(D,)`` or ``(B, D)``, or ids ``()`` or ``(B,)``, to ``out``."""
        plan = self._stack.plan
        self._check("out", out, (plan.output_size,))
        h, number = self._input(x), 0
        for layer in self._stack.layers:
            if isinstance(layer, Affine):
                h = layer(h)
                continue
            old = self._states[number]
            new, _ = layer.step(layer.input_part(h)[0], old)
            self._states[number] = self._zoneout(number, old, new)
            h = self._states[number][0]
            number += 1
        out[...] = h.reshape(out.shape)

    def advance(self, x: Array, states: Array, out: Array, after: Array, /) -> None:
        """``x`` and ``states``, a row a stream, to ``out`` and ``after``, one after the other."""
        one = TextbookStream(self._stack, 1, True)
        for row in range(len(states)):
            one.load(states[row])
            one.timestep(x[row : row + 1], out[row : row + 1])
            found = (s[0] for layer in one._states for s in layer)
            after[row] = np.concatenate([states[row, :0], *found])

    def predict(self, token: int, state: Array, log_probs: Array, after: Array, /) -> None:
        """A token's id and one row of states to log-probabilities ``(V,)`` and its new row."""
        y = np.empty((1, self._stack.plan.output_size), self._stack.plan.dtype)
        self.advance(np.array([token]), state, y, after)
        log_probs[:] = log_softmax(y[0])

    def compose(
        self,
        token: int,
        state: Array,
        forbidden: Array,
        uniforms: Array,
        *rest: Any,
    ) -> None:
        """Draw a token for each of ``uniforms``, one from what comes after the other."""
        *sampling, tokens, log_probs, after = rest
        for i, uniform in enumerate(uniforms.tolist()):
            self.predict(token, state, log_probs[i], after[i : i + 1])
            tokens[i] = token = draw(log_probs[i], forbidden, uniform, *sampling)
            state = after[i : i + 1]

    def load(self, states: Array) -> None:
        """The states of all layers, one after the other; of one row."""
        for layer, old in enumerate(self._states):
            ends = np.cumsum([each.shape[1] for each in old])
            parts = np.split(states[: ends[-1]].astype(np.float64)[None], ends[:-1], axis=1)
            self._states[layer], states = tuple(parts), states[ends[-1] :]

    def state_size(self) -> int:
        """How many numbers the states of all layers have together."""
        return sum(each.shape[1] for layer in self._states for each in layer)

    def _input(self, x: Array | int) -> Array:
        plan = self._stack.plan
        if plan.embedding is None:
            assert plan.input_size is not None
            self._check("x", x, (plan.input_size,))
            return np.asarray(x).reshape(self._rows, -1).astype(np.float64)
        ids = np.asarray(x) if type(x) is int else x
        self._check("x", ids, (), ("int64", "int32"))
        ids = np.atleast_1d(ids)
        wrong = ids[(ids < 0) | (ids >= len(plan.embedding))]
        if wrong.size:
            last = len(plan.embedding) - 1
            raise ValueError(f"x must hold ids from 0 to {last}, found {wrong[0]}")
        return np.asarray(plan.embedding[ids], dtype=np.float64)

    def _check(self, name: str, array: Any, shape: tuple[int, ...], types: Any = None) -> None:
        types = types or (str(self._stack.plan.dtype),)
        if not isinstance(array, np.ndarray | np.generic) or str(array.dtype) not in types:
            found = getattr(array, "dtype", type(array).__name__)
            raise ValueError(f"{name} must be a {' or '.join(types)} array, found {found}")
        batch = (self._rows,) if self._batched else ()
        check_shape("Stream.timestep", name, array, (*batch, *shape))

    def _zoneout(self, number: int, old: State, new: State) -> State:
        rates = self._stack.keep[number]
        keep = {"h": rates[0], "c": rates[-1]}
        names = self._stack.cells[number].spec.state_sizes
        shares = [keep.get(name, 0.0) for name in names]
        return tuple(k * o + (1 - k) * n for k, o, n in zip(shares, old, new, strict=True))

    def reset(self) -> None:
        """The initial state."""
        self._states = [
            tuple(np.tile(value, (self._rows, 1)) for value in cell.initial_state())
            for cell in self._stack.cells
        ]

    def read(self, layer: int, index: int, out: Array, /) -> None:
        """Copy a state into ``out``."""
        out[...] = self._states[layer][index].reshape(out.shape)

    def write(self, layer: int, index: int, state: Array, /) -> None:
        """Copy ``state`` in."""
        states = list(self._states[layer])
        states[index] = state.reshape(self._rows, -1).astype(np.float64)
        self._states[layer] = tuple(states)
