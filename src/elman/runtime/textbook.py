"""A stream without the native core: the reference's cells, one timestep after another.

It gives the same numbers, at the speed of NumPy. The input of int8 weights is not rounded.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import check_shape
from elman.reference import build
from elman.reference.cell import State
from elman.runtime.plan import Plan
from elman.runtime.rounding import rounded

Array = NDArray[Any]


class TextbookStack:
    """The layers of a plan, their weights rounded as its format keeps them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ends = {name: _kept(arrays, plan.weights) for name, arrays in plan.ends.items()}
        self.cells = [
            build(spec, _kept(arrays, plan.weights, spec.order))
            for spec, arrays in zip(plan.specs, plan.parameters, strict=True)
        ]

    def dense(self, end: str, v: Array) -> Array:
        """``W v + b`` of the ``"input"`` or ``"output"`` layer; ``v`` where there is none."""
        if end not in self.ends:
            return v
        layer = self.ends[end]
        return np.asarray(v @ layer["weight"].T + layer.get("bias", 0.0))


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
        h = self._stack.dense("input", self._input(x))
        for layer, cell in enumerate(self._stack.cells):
            old = self._states[layer]
            new, _ = cell.step(cell.input_part(h)[0], old)
            self._states[layer] = tuple(self._zoneout(cell, old, new))
            h = self._states[layer][0]
        out[...] = self._stack.dense("output", h).reshape(out.shape)

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

    def _zoneout(self, cell: Any, old: State, new: State) -> list[Array]:
        keep = {"h": self._stack.plan.keep[0], "c": self._stack.plan.keep[-1]}
        shares = [keep.get(name, 0.0) for name in cell.spec.state_sizes]
        return [k * o + (1 - k) * n for k, o, n in zip(shares, old, new, strict=True)]

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
