"""Values and all gradients against torch.nn, which knows none of the other options."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from elman.reference import backward, build, forward
from elman.spec import LayerSpec, suffix

KINDS: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "tanh": (torch.nn.RNN, {}, {"cell": "elman"}),
    "relu": (torch.nn.RNN, {"nonlinearity": "relu"}, {"cell": "elman", "nonlinearity": "relu"}),
    "gru": (torch.nn.GRU, {}, {"cell": "gru"}),
    "lstm": (torch.nn.LSTM, {}, {"cell": "lstm"}),
    "lstm_proj": (torch.nn.LSTM, {"proj_size": 3}, {"cell": "lstm", "proj_size": 3}),
}
SIZES = {  # T, B, D, H
    "T1-B1-H4": (1, 1, 1, 4),
    "T2-B3-H5-no_bias": (2, 3, 7, 5),
    "T63-B17-H64": (63, 17, 5, 64),
    "T257-B3-H100": (257, 3, 9, 100),
}


def assert_same(found: Any, expected: Any, name: str) -> None:
    # The relu network grows along time, and its gradients with it: hence a relative part.
    expected = expected.detach().numpy()
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * scale, err_msg=name)


@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "ragged"])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_both_directions_are_those_of_torch(
    kind: str, sizes: tuple[int, int, int, int], lengths: bool
) -> None:
    steps, batch, inputs, hidden = sizes
    layer_class, torch_options, spec_options = KINDS[kind]
    bias = hidden != 5  # one of the sizes goes without
    spec = LayerSpec(input_size=inputs, hidden_size=hidden, bias=bias, **spec_options)
    torch.manual_seed(3)
    rng = np.random.default_rng(3)
    layer = layer_class(inputs, hidden, bias=bias, bidirectional=True, **torch_options).double()
    x = torch.randn(steps, batch, inputs, dtype=torch.float64, requires_grad=True)
    state0: list[Any] = [
        torch.randn(2, batch, size, dtype=torch.float64, requires_grad=True)
        for size in spec.state_sizes.values()
    ]
    counts = rng.integers(1, steps + 1, batch) if lengths else np.full(batch, steps)
    packed = pack_padded_sequence(x, torch.tensor(counts), enforce_sorted=False)
    hx = tuple(state0) if len(state0) == 2 else state0[0]
    packed_outputs, final = layer(packed, hx)
    outputs, _ = pad_packed_sequence(packed_outputs, total_length=steps)
    finals = final if len(state0) == 2 else (final,)
    d_outputs = torch.randn_like(outputs)
    d_finals = [torch.randn_like(f) for f in finals]
    torch.autograd.backward((outputs, *finals), (d_outputs, *d_finals))

    d_x = np.zeros(x.shape)
    width = spec.output_size
    for direction, reverse in enumerate((False, True)):
        tail = suffix(0, reverse)
        weights = {n: getattr(layer, n + tail).detach().numpy() for n in spec.parameter_shapes}
        trace = forward(
            build(spec, weights),
            x.detach().numpy(),
            tuple(s[direction].detach().numpy() for s in state0),
            lengths=counts if lengths else None,
            reverse=reverse,
        )
        half = slice(direction * width, (direction + 1) * width)
        assert_same(trace.outputs, outputs[..., half], "outputs")
        found = backward(
            trace,
            d_outputs[..., half].numpy(),
            d_final=tuple(d[direction].numpy() for d in d_finals),
        )
        d_x += found.x
        for index, name in enumerate(spec.state_sizes):
            assert_same(trace.final[index], finals[index][direction], f"final {name}")
            assert_same(found.state0[index], state0[index].grad[direction], f"d_state0 {name}")
        for name, gradient in found.parameters.items():
            assert_same(gradient, getattr(layer, name + tail).grad, name + tail)
    assert_same(d_x, x.grad, "d_x")
