"""The state of a stream as arrays: for each recurrent layer a tuple with one array a state."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import UsageError
from elman.runtime.plan import Plan

Array = NDArray[Any]
State = tuple[tuple[Array, ...], ...]


def checked(
    operation: str, plan: Plan, rows: tuple[int, ...], state: Sequence[Sequence[ArrayLike]]
) -> State:
    """``state``, contiguous; each array must be ``(*rows, size)``, of the type of the plan.

    Raises :class:`~elman.errors.UsageError` for anything else.
    """
    wanted = tuple(len(spec.state_sizes) for spec in plan.specs)
    found = tuple(len(layer) for layer in state)
    if found != wanted:
        rule = f"state must be one tuple a layer, of {wanted} arrays"
        raise UsageError(operation, f"{rule}, found {found}")

    def fitting(given: ArrayLike, size: int) -> Array:
        array, shape = np.asarray(given), (*rows, size)
        if array.shape != shape or array.dtype != plan.dtype:
            rule = f"state must hold {plan.dtype} arrays of shape {shape} here"
            raise UsageError(operation, f"{rule}, found {array.dtype} of {array.shape}")
        return np.ascontiguousarray(array)

    return tuple(
        tuple(map(fitting, layer, spec.state_sizes.values()))
        for layer, spec in zip(state, plan.specs, strict=True)
    )


def flat(state: State) -> Array:
    """All arrays one after the other."""
    return np.concatenate([array.reshape(-1) for layer in state for array in layer])


def split(plan: Plan, rows: tuple[int, ...], numbers: Array) -> State:
    """Copies of the arrays that :func:`flat` put one after the other."""
    sizes = [size for spec in plan.specs for size in spec.state_sizes.values()]
    ends = np.cumsum([size * int(np.prod(rows)) for size in sizes])
    parts = iter(np.split(numbers, ends[:-1]))
    return tuple(
        tuple(next(parts).reshape(*rows, size).copy() for size in spec.state_sizes.values())
        for spec in plan.specs
    )
