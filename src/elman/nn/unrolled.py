"""One layer on the loop over time: any option, on any device, differentiable to any order."""

from dataclasses import replace

import torch
from torch import Tensor

from elman.nn import cells, loop
from elman.nn.cells import Parameters, State
from elman.nn.loop import Conditions
from elman.spec import LayerSpec


def run(
    spec: LayerSpec,
    p: Parameters,
    x: Tensor,
    state: State,
    around: Conditions,
    *,
    reverse: bool = False,
) -> tuple[Tensor, State, tuple[Tensor, ...]]:
    """Run x (T, B, D) through the layer, backwards in time if ``reverse``.

    Returns the outputs (T, B, R), the final state and every state, each (T, B, ·). In reverse each
    sequence starts at its own last valid timestep, and a reset at t, the border between t-1 and t,
    acts before t-1.
    """
    x = loop.clear_padding(x, around.lengths)
    if reverse:
        order = _reversal(len(x), x.shape[1], around.lengths, x.device)
        turned = _reversed_conditions(around, order)
        outputs, final, states = run(spec, p, _reorder(x, order), state, turned)
        return _reorder(outputs, order), final, tuple(_reorder(s, order) for s in states)

    def step(a: Tensor, state: State) -> tuple[Tensor, State]:
        state = cells.step(spec, p, a, state, around.mask)
        return state[0], state

    outputs, states, final = loop.run(step, cells.input_part(spec, p, x), state, around)
    return outputs, final, states


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
