"""The gated recurrent unit (Cho et al. 2014), with the reset gate where PyTorch has it.

PyTorch multiplies by ``r`` after the recurrent product, its bias included:
``n = tanh(a_n + r * (W_hn h + b_hn))``.
"""

from typing import NamedTuple

import numpy as np

from elman.reference.activations import Array, sigmoid, sigmoid_slope, tanh, tanh_slope
from elman.reference.cell import Cell, PartSaved, State


class GRUSaved(NamedTuple):
    """What :meth:`GRU.step_back` needs of :meth:`GRU.step`; arrays are ``(B, H)``."""

    h_old: Array
    r: Array
    z: Array
    n: Array
    u_n: Array
    recurrent: PartSaved
    mask: Array | float


class GRU(Cell[GRUSaved]):
    """``h_t = (1 - z) * n + z * h_{t-1}``. The state is ``(h,)``, ``(B, H)``."""

    kind = "gru"

    def step(self, a: Array, state: State, mask: Array | float = 1.0) -> tuple[State, GRUSaved]:
        """See :meth:`Cell.step <elman.reference.cell.Cell.step>`."""
        (h_old,) = state
        u, recurrent = self.recurrent_part(state, mask)
        a_r, a_z, a_n = np.split(a, 3, axis=-1)
        u_r, u_z, u_n = np.split(u, 3, axis=-1)
        r = sigmoid(a_r + u_r)
        z = sigmoid(a_z + u_z)
        n = tanh(a_n + r * u_n)
        h = (1.0 - z) * n + z * h_old
        return (h,), GRUSaved(h_old, r, z, n, u_n, recurrent, mask)

    def step_back(
        self, d_state: State, saved: GRUSaved, gradients: dict[str, Array]
    ) -> tuple[Array, State]:
        """See :meth:`Cell.step_back <elman.reference.cell.Cell.step_back>`."""
        h_old, r, z, n, u_n, recurrent, mask = saved
        (d_h,) = d_state
        d_a_n = d_h * (1.0 - z) * tanh_slope(n)
        d_a_z = d_h * (h_old - n) * sigmoid_slope(z)
        d_a_r = d_a_n * u_n * sigmoid_slope(r)
        d_a = np.concatenate((d_a_r, d_a_z, d_a_n), axis=-1)
        d_u = np.concatenate((d_a_r, d_a_z, d_a_n * r), axis=-1)
        (d_h_old,) = self.recurrent_part_back(d_u, recurrent, mask, gradients)
        return d_a, (d_h_old + d_h * z,)
