"""One layer in one direction, and the only place that chooses who computes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from elman.errors import UsageError
from elman.nn import cells, fused, loop
from elman.nn.cells import Parameters, State
from elman.nn.loop import Conditions
from elman.spec import LayerSpec

IMPLEMENTATIONS = ("auto", "loop", "fused")
_chosen: ContextVar[str] = ContextVar("implementation", default="auto")


class Result(NamedTuple):
    """What a layer gives: outputs (T, B, R), final state, and every state (T, B, ·) if asked."""

    outputs: Tensor
    final: State
    trajectory: tuple[Tensor, ...] | None


@contextmanager
def implementation(name: str) -> Iterator[None]:
    """Inside this context every layer is computed by ``name``: "auto", "loop" or "fused".

    For tests and measurements; "auto" takes the fastest that can do what is asked.
    """
    if name not in IMPLEMENTATIONS:
        raise UsageError("implementation", f"must be one of {IMPLEMENTATIONS}, found {name!r}")
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def layer(
    spec: LayerSpec,
    p: Parameters,
    x: Tensor,
    state: State,
    around: Conditions,
    *,
    reverse: bool = False,
    trajectory: bool = False,
) -> Result:
    """Run x (T, B, D) through one layer from ``state``, backwards in time if ``reverse``.

    In reverse each sequence starts at its own last valid timestep, and a reset at t, the border
    between t-1 and t, acts before t-1.
    """
    x = loop.clear_padding(x, around.lengths)
    if reverse:
        order = _reversal(len(x), x.shape[1], around.lengths, x.device)
        result = layer(
            spec,
            p,
            _reorder(x, order),
            state,
            _reversed_conditions(around, order),
            trajectory=trajectory,
        )
        states = result.trajectory and tuple(_reorder(s, order) for s in result.trajectory)
        return Result(_reorder(result.outputs, order), result.final, states)
    able = fused.supports(spec, around) and not trajectory
    if _chosen.get() == "fused" and not able:
        raise UsageError("fused", f"can compute plain cells only, found {spec} with {around}")
    if able and _chosen.get() != "loop":
        return Result(*fused.run(spec, p, x, state), None)

    def step(a: Tensor, state: State) -> tuple[Tensor, State]:
        state = cells.step(spec, p, a, state, around.mask)
        return state[0], state

    outputs, states, final = loop.run(step, cells.input_part(spec, p, x), state, around)
    return Result(outputs, final, states if trajectory else None)


def _reversal(steps: int, batch: int, lengths: Tensor | None, device: torch.device) -> Tensor:
    """Index (T, B): valid timesteps in reverse order, padding where it was. Its own inverse."""
    t = torch.arange(steps, device=device)[:, None].expand(steps, batch)
    if lengths is None:
        return steps - 1 - t
    return torch.where(t < lengths, lengths - 1 - t, t)


def _reorder(x: Tensor, order: Tensor) -> Tensor:
    return x.gather(0, order[:, :, None].expand_as(x))


def _reversed_conditions(around: Conditions, order: Tensor) -> Conditions:
    resets = around.resets
    if resets is not None:
        # The border before t stands, in reverse, between processing t and processing t-1.
        border_after = torch.cat([resets[1:], torch.zeros_like(resets[:1])])  # (T, B)
        if around.lengths is not None:
            # A border at or beyond the end of a sequence separates nothing.
            last = torch.arange(len(order), device=order.device)[:, None] >= around.lengths - 1
            border_after = border_after & ~last
        resets = border_after.gather(0, order)
    keep = around.keep and tuple(
        None if k is None else _reorder(k.expand(*order.shape, -1), order) for k in around.keep
    )
    return replace(around, resets=resets, keep=keep)
