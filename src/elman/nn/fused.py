"""The kernels that PyTorch itself carries (oneDNN for the LSTM, ATen for the others).

They know the plain cells only: no options, one length for all sequences, and of the LSTM's ``c``
they return only the last.
"""

import torch
from torch import Tensor

from elman.nn.cells import Parameters, State
from elman.nn.loop import Conditions
from elman.spec import LayerSpec


def supports(spec: LayerSpec, around: Conditions) -> bool:
    """Whether the plain kernels compute this layer."""
    return around.plain and not (spec.layer_norm or spec.peephole) and spec.order == 1


def run(
    spec: LayerSpec, p: Parameters, x: Tensor, state: State, *, reverse: bool
) -> tuple[Tensor, State]:
    """One layer in one direction: x (T, B, D) -> outputs (T, B, R) and the final state."""
    if reverse:
        y, final = run(spec, p, x.flip(0), state, reverse=False)
        return y.flip(0), final
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    weights = [p[name] for name in names if name in p]
    # has_biases, num_layers, dropout, train, bidirectional, batch_first
    options = (spec.bias, 1, 0.0, torch.is_grad_enabled(), False, False)
    if spec.cell == "lstm":
        y, h, c = torch.lstm(x, [each[None] for each in state], weights, *options)
        return y, (h[0], c[0])
    kernels = {"gru": torch.gru, "tanh": torch.rnn_tanh, "relu": torch.rnn_relu}
    kernel = kernels["gru" if spec.cell == "gru" else spec.nonlinearity]
    y, h = kernel(x, state[0][None], weights, *options)
    return y, (h[0],)
