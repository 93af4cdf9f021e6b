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
        self.dtype = plan.dtype
        self.keep = plan.keep
        self.cells = []
        for spec, arrays in zip(plan.specs, plan.parameters, strict=True):
            kept = {
                name: rounded(array, plan.weights) if name.startswith("weight") else array
                for name, array in arrays.items()
            }
            parameters = {name: array.astype(np.float64) for name, array in kept.items()}
            self.cells.append(build(spec, parameters))


class TextbookStream:
    """The state of ``rows`` streams over a :class:`TextbookStack`."""

    def __init__(self, stack: TextbookStack, rows: int, batched: bool) -> None:
        self._stack, self._rows, self._batched = stack, rows, batched
        self._states: list[State] = []
        self.reset()

    def timestep(self, x: Array, out: Array, /) -> None:
        """``x`` ``(D,)`` or ``(B, D)`` to ``out``."""
        batch = (self._rows,) if self._batched else ()
        for name, array, size in (
            ("x", x, self._stack.cells[0].spec.input_size),
            ("out", out, self._stack.cells[-1].spec.output_size),
        ):
            if not isinstance(array, np.ndarray) or array.dtype != self._stack.dtype:
                found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                raise ValueError(f"{name} must be a {self._stack.dtype} array, found {found}")
            check_shape("Stream.timestep", name, array, (*batch, size))
        h = x.reshape(self._rows, -1).astype(np.float64)
        for layer, cell in enumerate(self._stack.cells):
            old = self._states[layer]
            new, _ = cell.step(cell.input_part(h)[0], old)
            self._states[layer] = tuple(self._zoneout(cell, old, new))
            h = self._states[layer][0]
        out[...] = h.reshape(out.shape)

    def _zoneout(self, cell: Any, old: State, new: State) -> list[Array]:
        keep = {"h": self._stack.keep[0], "c": self._stack.keep[-1]}
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
