"""Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000).

Peepholes are those of Gers & Schmidhuber (2000), the projection that of Sak et al. (2014).
"""

from typing import NamedTuple

import numpy as np

from elman.reference.activations import (
    Array,
    NormSaved,
    sigmoid,
    sigmoid_slope,
    sum_rows,
    tanh,
    tanh_slope,
)
from elman.reference.cell import Cell, PartSaved, State, outer_sum


class LSTMSaved(NamedTuple):
    """What :meth:`LSTM.step_back` needs of :meth:`LSTM.step`; arrays are ``(B, H)``."""

    c_old: Array
    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    tanh_c: Array  # tanh(norm_c(c))
    norm: NormSaved | None
    recurrent: PartSaved
    mask: Array | float


class LSTM(Cell[LSTMSaved]):
    """``c_t = f * c_{t-1} + i * g`` and ``h_t = W_hr (o * tanh(c_t))``.

    The state is ``(h, c)``: ``(B, R)`` and ``(B, H)``.
    """

    kind = "lstm"

    def step(self, a: Array, state: State, mask: Array | float = 1.0) -> tuple[State, LSTMSaved]:
        """See :meth:`Cell.step <elman.reference.cell.Cell.step>`."""
        _, c_old = state
        u, recurrent = self.recurrent_part(state, mask)
        v_i, v_f, v_g, v_o = np.split(a + u, 4, axis=-1)
        p_i, p_f, p_o = self._peepholes()
        i = sigmoid(v_i + p_i * c_old)
        f = sigmoid(v_f + p_f * c_old)
        g = tanh(v_g)
        c = f * c_old + i * g
        o = sigmoid(v_o + p_o * c)
        normed, norm = self.norm("norm_c", c)
        tanh_c = tanh(normed + self.parameters.get("norm_c_bias", 0.0))
        h = self._project(o * tanh_c)
        return (h, c), LSTMSaved(c_old, i, f, g, o, c, tanh_c, norm, recurrent, mask)

    def step_back(
        self, d_state: State, saved: LSTMSaved, gradients: dict[str, Array]
    ) -> tuple[Array, State]:
        """See :meth:`Cell.step_back <elman.reference.cell.Cell.step_back>`."""
        c_old, i, f, g, o, c, tanh_c, norm, recurrent, mask = saved
        p_i, p_f, p_o = self._peepholes()
        d_h, d_c = d_state
        d_read = self._project_back(d_h, o * tanh_c, gradients)  # of o * tanh_c
        d_o = d_read * tanh_c * sigmoid_slope(o)
        d_c = d_c + d_o * p_o + self._norm_c_back(d_read * o * tanh_slope(tanh_c), norm, gradients)
        d_i = d_c * g * sigmoid_slope(i)
        d_f = d_c * c_old * sigmoid_slope(f)
        d_g = d_c * i * tanh_slope(g)
        if self.spec.peephole:
            seen = np.concatenate((d_i * c_old, d_f * c_old, d_o * c), axis=-1)
            gradients["peephole"] += sum_rows(seen)
        d_a = np.concatenate((d_i, d_f, d_g, d_o), axis=-1)
        (d_h_old,) = self.recurrent_part_back(d_a, recurrent, mask, gradients)
        return d_a, (d_h_old, d_c * f + d_i * p_i + d_f * p_f)

    def _peepholes(self) -> list[Array]:
        """``p_i, p_f, p_o``, each ``(H,)``; zeros unless ``spec.peephole``."""
        zeros = np.zeros(3 * self.spec.hidden_size)
        return np.split(self.parameters.get("peephole", zeros), 3)

    def _project(self, v: Array) -> Array:
        return v @ self.parameters["weight_hr"].T if self.spec.proj_size else v

    def _project_back(self, d: Array, v: Array, gradients: dict[str, Array]) -> Array:
        if not self.spec.proj_size:
            return d
        gradients["weight_hr"] += outer_sum(d, v)
        return d @ self.parameters["weight_hr"]

    def _norm_c_back(self, d: Array, norm: NormSaved | None, gradients: dict[str, Array]) -> Array:
        if "norm_c_bias" in gradients:
            gradients["norm_c_bias"] += sum_rows(d)
        return self.norm_back("norm_c", d, norm, gradients)
