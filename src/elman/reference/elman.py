"""Elman's simple recurrent network (Elman 1990, *Finding Structure in Time*)."""

from typing import NamedTuple

from elman.reference.activations import Array, relu, relu_slope, tanh, tanh_slope
from elman.reference.cell import Cell, PartSaved, State

_NONLINEARITY = {"tanh": (tanh, tanh_slope), "relu": (relu, relu_slope)}


class ElmanSaved(NamedTuple):
    """What :meth:`Elman.step_back` needs of :meth:`Elman.step`."""

    h: Array  # (B, H)
    recurrent: PartSaved
    mask: Array | float


class Elman(Cell[ElmanSaved]):
    """``h_t = f(a_t + u_t)``, where ``u_t`` may look back ``spec.order`` timesteps.

    The state is ``(h_{t-1}, .., h_{t-k})``, each ``(B, H)``, the newest first.
    """

    kind = "elman"

    def step(self, a: Array, state: State, mask: Array | float = 1.0) -> tuple[State, ElmanSaved]:
        """See :meth:`Cell.step <elman.reference.cell.Cell.step>`."""
        f, _ = _NONLINEARITY[self.spec.nonlinearity]
        u, recurrent = self.recurrent_part(state, mask)
        h = f(a + u)
        return (h, *state[:-1]), ElmanSaved(h, recurrent, mask)

    def step_back(
        self, d_state: State, saved: ElmanSaved, gradients: dict[str, Array]
    ) -> tuple[Array, State]:
        """See :meth:`Cell.step_back <elman.reference.cell.Cell.step_back>`."""
        _, slope = _NONLINEARITY[self.spec.nonlinearity]
        d_h, *d_shifted = d_state
        d_a = d_h * slope(saved.h)
        d_history = self.recurrent_part_back(d_a, saved.recurrent, saved.mask, gradients)
        # h_{t-j} was read by W_hh, and handed on as h_{t-1-j}; the oldest was only read.
        for d_previous, d in zip(d_history, d_shifted, strict=False):
            d_previous += d
        return d_a, tuple(d_history)
