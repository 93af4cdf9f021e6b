"""The door of the recurrence: every option checked, and said in two mechanisms.

However many options a sequence has, the loop over time knows two things around a step:

- *before* it, ``fresh``: the rows that start from the initial state instead of the carried one.
  Resets are this, and so is the absence of a starting state.
- *after* it, ``keep``: how much of the old state stays, ``keep * old + (1 - keep) * new``.
  Zoneout (Krueger et al. 2017) is this, and so is padding, which keeps everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import UsageError, check_shape
from elman.reference.activations import Array
from elman.reference.cell import Cell, State
from elman.spec import CELLS

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Plan:
    """A sequence and how the recurrence goes through it; nothing here is absent."""

    x: Array  # (T, B, D), zero in the padding
    state0: State  # (B, size) each
    initial: State  # (size,) each
    initial_is_learned: bool
    valid: Bools  # (T, B), false in the padding
    fresh: Bools  # (T, B), true where the step starts from ``initial``
    keep: State  # (T, B, size) each
    mask: Array  # (B, k*R)
    order: range  # the timesteps in the order they are run


def make_plan(
    cell: Cell[Any],
    x: ArrayLike,
    state0: State | None,
    *,
    lengths: ArrayLike | None,
    resets: ArrayLike | None,
    initial: State | None,
    mask: ArrayLike | None,
    keep: Sequence[ArrayLike] | None,
    reverse: bool,
) -> Plan:
    """Check what :func:`elman.reference.recurrence.forward` was given and fill in the rest."""
    spec, name = cell.spec, cell.name
    x = np.asarray(x, dtype=np.float64)
    check_shape(name, "x", x, ("T", "B", spec.input_size))
    steps, batch, _ = x.shape
    if steps == 0:
        raise UsageError(name, "x must have at least one timestep, found T=0")
    order = range(steps)[::-1] if reverse else range(steps)
    valid = _valid(name, lengths, steps, batch)
    fresh = _fresh(name, resets, valid, reverse)
    if state0 is None:
        fresh[order[0]] = True
        state0 = tuple(np.zeros((batch, size)) for size in spec.state_sizes.values())
    initial_is_learned = spec.learn_initial_state and initial is None
    if initial is None:
        initial = cell.initial_state()
    columns = spec.order * spec.output_size
    mask = np.ones((batch, columns)) if mask is None else np.asarray(mask, dtype=np.float64)
    check_shape(name, "mask", mask, (batch, columns))
    return Plan(
        # Whatever stands in the padding, not a number included, must not reach a gradient.
        x=np.where(valid[..., None], x, 0.0),
        state0=cell.check_state("state0", state0, (batch,)),
        initial=cell.check_state("initial", initial, ()),
        initial_is_learned=initial_is_learned,
        valid=valid,
        fresh=fresh,
        keep=_keep(cell, keep, valid),
        mask=mask,
        order=order,
    )


def _valid(name: str, lengths: ArrayLike | None, steps: int, batch: int) -> Bools:
    if lengths is None:
        return np.ones((steps, batch), dtype=np.bool_)
    counts = np.asarray(lengths)
    check_shape(name, "lengths", counts, (batch,))
    if not np.issubdtype(counts.dtype, np.integer):
        raise UsageError(name, f"lengths must be integers, found {counts.dtype}")
    outside = np.flatnonzero((counts < 1) | (counts > steps))
    if outside.size:
        b = outside[0]
        rule = f"lengths must be between 1 and T={steps}"
        found = f"found {counts[b]} at batch index {b}; clip or pad the sequence"
        raise UsageError(name, f"{rule}, {found}")
    return np.arange(steps)[:, None] < counts


def _fresh(name: str, resets: ArrayLike | None, valid: Bools, reverse: bool) -> Bools:
    if resets is None:
        return np.zeros_like(valid)
    marks = np.asarray(resets)
    check_shape(name, "resets", marks, valid.shape)
    if marks.dtype != np.bool_:
        raise UsageError(name, f"resets must be bool, found {marks.dtype}")
    marks = marks & valid
    if not reverse:
        return marks
    # A mark at t is a boundary between t-1 and t; backward in time it is t-1 that comes after it.
    return np.concatenate((marks[1:], np.zeros_like(marks[:1])))


def _keep(cell: Cell[Any], keep: Sequence[ArrayLike] | None, valid: Bools) -> State:
    """``keep`` of every state: 1 in the padding, 0 for the older states of order k (they shift)."""
    base = CELLS[cell.kind].states
    given = (0.0,) * len(base) if keep is None else tuple(keep)
    if len(given) != len(base):
        rule = f"keep must hold {len(base)} arrays ({', '.join(base)})"
        raise UsageError(cell.name, f"{rule}, found {len(given)}")
    kept = []
    for state, size in cell.spec.state_sizes.items():
        share = np.asarray(given[base.index(state)] if state in base else 0.0, dtype=np.float64)
        if share.ndim:
            check_shape(cell.name, f"keep {state}", share, (*valid.shape, size))
        share = np.where(valid[..., None], share, 1.0)
        outside = share[~((share >= 0.0) & (share <= 1.0))]
        if outside.size:
            rule = f"keep {state} must be between 0 and 1"
            raise UsageError(cell.name, f"{rule}, found {outside[0]}")
        kept.append(np.broadcast_to(share, (*valid.shape, size)))
    return tuple(kept)
