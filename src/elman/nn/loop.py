"""The loop over time in PyTorch: any step function, ragged lengths, resets and zoneout.

It is the implementer that can do everything, on any device and differentiably to any order; the
faster ones are measured against it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

State = tuple[Tensor, ...]
Step = Callable[[Tensor, State], tuple[Tensor, State]]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What can happen around a step, the same for every cell.

    lengths: (B,) number of valid timesteps of each sequence; the state is held after them.
    resets: (T, B) bool; where true, the step starts from ``initial`` instead of the last state.
    initial: one tensor a state, broadcastable to it.
    mask: (B, k*R), multiplied into what enters ``W_hh``: recurrent dropout, the same at every
        timestep (Gal & Ghahramani 2016).
    keep: one (T, B or 1, size or 1) tensor a state, or None for a state it spares: zoneout,
        ``new = keep * old + (1 - keep) * candidate`` (Krueger et al. 2017, eq. 4).
    """

    lengths: Tensor | None = None
    resets: Tensor | None = None
    initial: State = ()
    mask: Tensor | None = None
    keep: tuple[Tensor | None, ...] | None = None

    @property
    def plain(self) -> bool:
        """Whether nothing happens around the steps."""
        return all(x is None for x in (self.lengths, self.resets, self.mask, self.keep))


def clear_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Give x (T, B, ...) zeros beyond ``lengths``, so that no NaN there reaches a gradient."""
    if lengths is None:
        return x
    return x.masked_fill(~_spread(_valid(lengths, x.shape[0]), x), 0)


def run(
    step: Step, inputs: Tensor, state: State, around: Conditions
) -> tuple[Tensor, tuple[Tensor, ...], State]:
    """Apply ``step`` to inputs (T, B, ·) in order.

    Returns the outputs (T, B, ·), every state after every timestep, each (T, B, ·), both zero
    beyond ``lengths``, and the final state, that of each sequence's last valid timestep.
    """
    outputs: list[Tensor] = []
    trajectory: list[State] = []
    valid = None if around.lengths is None else _valid(around.lengths, len(inputs))
    for t, x in enumerate(inputs.unbind(0)):
        entering = state
        if around.resets is not None:
            entering = _choose(around.resets[t], around.initial, state)
        y, candidate = step(x, entering)
        if around.keep is not None:
            candidate = _zoneout(around.keep, t, entering, candidate)
            y = candidate[0]
        state = candidate if valid is None else _choose(valid[t], candidate, state)
        outputs.append(y)
        trajectory.append(state)
    states = (torch.stack(each) for each in zip(*trajectory, strict=True))
    return (
        clear_padding(torch.stack(outputs), around.lengths),
        tuple(clear_padding(each, around.lengths) for each in states),
        state,
    )


def _valid(lengths: Tensor, steps: int) -> Tensor:
    """Mask (T, B): true where a timestep lies inside its sequence."""
    return torch.arange(steps, device=lengths.device)[:, None] < lengths


def _spread(mask: Tensor, like: Tensor) -> Tensor:
    """A mask (B,) or (T, B) with as many dimensions as ``like``, whose first are the same."""
    return mask.reshape(*mask.shape, *(1,) * (like.ndim - mask.ndim))


def _choose(rows: Tensor, yes: State, no: State) -> State:
    """In the rows (B,) marked true ``yes``, elsewhere ``no``."""
    return tuple(torch.where(_spread(rows, b), a, b) for a, b in zip(yes, no, strict=True))


def _zoneout(keep: tuple[Tensor | None, ...], t: int, old: State, candidate: State) -> State:
    return tuple(
        new if k is None else k[t] * before + (1 - k[t]) * new  # what is kept, kept to the bit
        for k, before, new in zip(keep, old, candidate, strict=True)
    )
