"""A cell along time, and back through time (BPTT, Werbos 1990), for every cell and option.

Forward, a timestep is: choose the state it starts from, step, keep some of the old state.
Backward is the same three, undone in the opposite order, from the last timestep to the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from elman.errors import check_shape
from elman.reference.activations import Array
from elman.reference.cell import Cell, PartSaved, State
from elman.reference.plan import Bools, Plan, make_plan


@dataclass(frozen=True)
class Trace:
    """What :func:`forward` computed, and what :func:`backward` needs of it."""

    outputs: Array  # (T, B, R), zero in the padding
    states: State  # (T, B, size) each: every state after every timestep, zero in the padding
    final: State  # (B, size) each: the state after the last valid timestep that was run
    cell: Cell[Any]
    plan: Plan
    input_saved: PartSaved
    step_saved: tuple[Any, ...]  # T, by t


@dataclass(frozen=True)
class Gradients:
    """The gradients of everything :func:`forward` was given.

    ``state0`` is zero where it was not read: absent, or reset before the first step. ``initial``
    sums over batch and resets; where the initial state is learned, ``parameters`` holds it too.
    """

    x: Array  # (T, B, D), zero in the padding
    state0: State  # (B, size) each
    initial: State  # (size,) each
    parameters: dict[str, Array]


def forward(
    cell: Cell[Any],
    x: ArrayLike,
    state0: State | None = None,
    *,
    lengths: ArrayLike | None = None,
    resets: ArrayLike | None = None,
    initial: State | None = None,
    mask: ArrayLike | None = None,
    keep: Sequence[ArrayLike] | None = None,
    reverse: bool = False,
) -> Trace:
    """Run ``cell`` over the sequence ``x`` ``(T, B, D)``.

    ``state0``: one ``(B, size)`` a state; ``initial`` where absent.
    ``lengths``: ``(B,)`` integers in 1..T. From ``lengths[b]`` on, row ``b`` is padding: its state
    is held and its outputs are 0.
    ``resets``: ``(T, B)`` bool. A sequence ends before ``t`` and another begins at ``t``: the step
    that crosses the boundary starts from ``initial``. Marks in the padding are ignored.
    ``initial``: one ``(size,)`` a state; where absent the learned one, or else zeros.
    ``mask``: ``(B, k*R)``, multiplies the recurrent input of every timestep (see ``Cell.step``).
    ``keep``: one a base state (``h``, or ``h`` and ``c``), each a number or ``(T, B, size)``,
    from 0 (where absent) to 1: how much of the state entering the step stays instead of the
    computed one (zoneout, Krueger et al. 2017); a 0/1 draw in training, else its expectation.
    ``reverse``: run from the last valid timestep to ``t = 0``; outputs stay at their own ``t``.

    Raises :class:`~elman.errors.UsageError` for a shape or value that cannot be used.
    """
    plan = make_plan(
        cell,
        x,
        state0,
        lengths=lengths,
        resets=resets,
        initial=initial,
        mask=mask,
        keep=keep,
        reverse=reverse,
    )
    a, input_saved = cell.input_part(plan.x)  # (T, B, G*H), all timesteps at once
    after: dict[int, State] = {}
    saved: dict[int, Any] = {}
    state = plan.state0
    for t in plan.order:
        old = _where(plan.fresh[t], plan.initial, state)
        new, saved[t] = cell.step(a[t], old, plan.mask)
        state = tuple(
            keep[t] * s_old + (1.0 - keep[t]) * s_new
            for keep, s_old, s_new in zip(plan.keep, old, new, strict=True)
        )
        after[t] = state
    by_time = zip(*(after[t] for t in range(len(plan.x))), strict=True)
    states = tuple(np.where(plan.valid[..., None], np.stack(s), 0.0) for s in by_time)
    step_saved = tuple(saved[t] for t in range(len(plan.x)))
    return Trace(states[0], states, state, cell, plan, input_saved, step_saved)


def backward(
    trace: Trace,
    d_outputs: ArrayLike,
    d_states: State | None = None,
    d_final: State | None = None,
) -> Gradients:
    """Gradients of a loss through all timesteps of ``trace``.

    ``d_outputs`` ``(T, B, R)``, ``d_states`` ``(T, B, size)`` each and ``d_final`` ``(B, size)``
    each are the loss's gradients of the outputs, of every state at every timestep and of the final
    state; they add up. Absent ones are zero.
    """
    cell, plan = trace.cell, trace.plan
    arriving, d_state = _arriving(trace, d_outputs, d_states, d_final)
    gradients = {name: np.zeros_like(value) for name, value in cell.parameters.items()}
    d_initial: State = tuple(np.zeros_like(s) for s in plan.initial)
    d_a = np.zeros((*plan.valid.shape, len(cell.parameters["weight_ih"])))
    for t in reversed(plan.order):
        d_state = tuple(d + d_t[t] for d, d_t in zip(d_state, arriving, strict=True))
        d_new = tuple((1.0 - keep[t]) * d for keep, d in zip(plan.keep, d_state, strict=True))
        d_a[t], d_read = cell.step_back(d_new, trace.step_saved[t], gradients)
        d_old = tuple(
            d_r + keep[t] * d for d_r, keep, d in zip(d_read, plan.keep, d_state, strict=True)
        )
        nothing = tuple(np.zeros_like(d) for d in d_old)
        to_initial = _where(plan.fresh[t], d_old, nothing)
        d_initial = tuple(s + d.sum(axis=0) for s, d in zip(d_initial, to_initial, strict=True))
        d_state = _where(plan.fresh[t], nothing, d_old)
    d_x = cell.input_part_back(d_a, trace.input_saved, gradients)
    if plan.initial_is_learned:
        for name, d in zip(cell.spec.state_sizes, d_initial, strict=True):
            gradients[f"initial_{name}"] += d
    return Gradients(d_x, d_state, d_initial, gradients)


def _where(rows: Bools, chosen: State, otherwise: State) -> State:
    """``chosen`` in the rows marked true, ``otherwise`` elsewhere, for each state."""
    pairs = zip(chosen, otherwise, strict=True)
    return tuple(np.where(rows[:, None], yes, no) for yes, no in pairs)


def _arriving(
    trace: Trace, d_outputs: ArrayLike, d_states: State | None, d_final: State | None
) -> tuple[State, State]:
    """What the loss sends into every state at every ``t``, and into the final state."""
    cell, valid = trace.cell, trace.plan.valid
    d_outputs = np.asarray(d_outputs, dtype=np.float64)
    check_shape(cell.name, "d_outputs", d_outputs, trace.outputs.shape)
    if d_states is None:
        d_states = tuple(np.zeros_like(s) for s in trace.states)
    if d_final is None:
        d_final = tuple(np.zeros_like(s) for s in trace.final)
    d_h, *d_others = cell.check_state("d_states", d_states, valid.shape)
    # The outputs are h; in the padding both are the constant 0 and pass nothing on.
    everywhere = (d_h + d_outputs, *d_others)
    arriving = tuple(np.where(valid[..., None], d, 0.0) for d in everywhere)
    return arriving, cell.check_state("d_final", d_final, valid.shape[1:])
