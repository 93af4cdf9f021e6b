"""One timestep of each cell in PyTorch: the equations of ``elman.spec``, differentiable twice.

A step takes the input part ``a`` (B, G*H), already multiplied by ``W_ih``, and the state, a tuple
of (B, ...), and returns the next state, whose first entry is ``h_t``. Parameters come as a dict
with the names of ``LayerSpec.parameter_shapes``.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from elman.spec import LAYER_NORM_EPS, LayerSpec

Parameters = dict[str, Tensor]
State = tuple[Tensor, ...]
CellStep = Callable[[LayerSpec, Parameters, Tensor, Tensor, State], State]


def input_part(spec: LayerSpec, p: Parameters, x: Tensor) -> Tensor:
    """``a_t`` for all timesteps at once: x (T, B, D) -> (T, B, G*H)."""
    return _affine(x, p["weight_ih"], p.get("bias_ih"), p.get("norm_ih"))


def step(spec: LayerSpec, p: Parameters, a: Tensor, state: State, mask: Tensor | None) -> State:
    """One timestep. ``mask`` (B, k*R) multiplies what enters ``W_hh``: recurrent dropout."""
    past = torch.cat(state[: spec.order], dim=-1) if spec.order > 1 else state[0]  # (B, k*R)
    if mask is not None:
        past = past * mask
    u = _affine(past, p["weight_hh"], p.get("bias_hh"), p.get("norm_hh"))  # (B, G*H)
    return _STEPS[spec.cell](spec, p, a, u, state)


def _affine(x: Tensor, weight: Tensor, bias: Tensor | None, gain: Tensor | None) -> Tensor:
    if gain is None:
        return functional.linear(x, weight, bias)
    # Ba et al. (2016), eq. 20: the product is normalised, and the bias is the shift.
    product = functional.linear(x, weight)
    return functional.layer_norm(product, gain.shape, gain, bias, LAYER_NORM_EPS)


def _elman(spec: LayerSpec, p: Parameters, a: Tensor, u: Tensor, state: State) -> State:
    h = torch.tanh(a + u) if spec.nonlinearity == "tanh" else torch.relu(a + u)
    return (h, *state[: spec.order - 1])


def _gru(spec: LayerSpec, p: Parameters, a: Tensor, u: Tensor, state: State) -> State:
    a_r, a_z, a_n = a.chunk(3, dim=-1)
    u_r, u_z, u_n = u.chunk(3, dim=-1)
    r, z = torch.sigmoid(a_r + u_r), torch.sigmoid(a_z + u_z)
    n = torch.tanh(a_n + r * u_n)  # b_hn is inside u_n, so r multiplies it too
    return (n + z * (state[0] - n),)


def _lstm(spec: LayerSpec, p: Parameters, a: Tensor, u: Tensor, state: State) -> State:
    c = state[1]
    i, f, g, o = (a + u).chunk(4, dim=-1)
    if spec.peephole:
        p_i, p_f, p_o = p["peephole"].chunk(3)
        i, f = i + p_i * c, f + p_f * c
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    if spec.peephole:
        o = o + p_o * c
    seen = c
    if spec.layer_norm:
        seen = functional.layer_norm(
            c, p["norm_c"].shape, p["norm_c"], p.get("norm_c_bias"), LAYER_NORM_EPS
        )
    h = torch.sigmoid(o) * torch.tanh(seen)
    if spec.proj_size:
        h = functional.linear(h, p["weight_hr"])
    return h, c


_STEPS: dict[str, CellStep] = {"elman": _elman, "gru": _gru, "lstm": _lstm}
