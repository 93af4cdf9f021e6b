"""What layers keep for the backward pass: as much as is stated, and less with ``recompute``."""

from typing import Any

import pytest
import torch
from nn.configured import (
    CONFIGURED,
    WAYS,
    Configured,
    answers,
    around,
    assert_same,
    make,
    starting_state,
)
from torch import Tensor

from elman import nn
from elman.core import is_built

T, B, D, H = 50, 4, 3, 16
every_way = pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
# Numbers a timestep, sequence and unit: the activated gates, h, c, and what the options add. The
# one gate of an Elman cell is h.
KEPT: dict[str, tuple[str, dict[str, Any], tuple[str, ...], float]] = {
    "tanh": ("RNN", {}, (), 1),
    "order3": ("RNN", {"order": 3}, (), 1 + 3),
    "gru": ("GRU", {}, (), 3 + 1 + 1),
    "lstm": ("LSTM", {}, (), 4 + 1 + 1),
    "lstm-resets": ("LSTM", {}, ("resets",), 4 + 1 + 1 + 1),
    "lstm-lengths": ("LSTM", {}, ("lengths",), 4 + 1 + 1),
    "lstm-dropout": ("LSTM", {"recurrent_dropout": 0.5}, (), 4 + 1 + 1 + 1),
    "lstm-zoneout": ("LSTM", {"zoneout": 0.5}, (), 4 + 1 + 1 + 2),
    "tanh-norm": ("RNN", {"layer_norm": True}, (), 1 + 2),
    "gru-norm": ("GRU", {"layer_norm": True}, (), 1 + 2 * 3),
    "lstm-norm": ("LSTM", {"layer_norm": True}, (), 1 + 1 + 2 * 4 + 1),
}


def kept_bytes(layer: Any, **how: Any) -> int:
    """Bytes that one call keeps, without its input and the parameters."""
    x = torch.randn(T, B, D, requires_grad=True)
    given = {t.data_ptr() for t in (x, *layer.parameters())}
    kept: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        if t.data_ptr() not in given:
            kept[t.data_ptr()] = max(kept.get(t.data_ptr(), 0), t.nbytes)
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y, _ = layer(x, **how)
    y.sum().backward()
    return sum(kept.values())


@pytest.mark.skipif(not is_built(), reason="what the loop keeps is not stated")
@pytest.mark.parametrize(("cell", "options", "ways", "numbers"), KEPT.values(), ids=KEPT)
def test_as_much_as_is_stated(
    cell: str, options: dict[str, Any], ways: tuple[str, ...], numbers: float
) -> None:
    layer = getattr(nn, cell)(D, H, **options)
    per_unit = kept_bytes(layer, **around(ways, T, B)) / (4 * T * B * H)
    # Beyond: first and last states, lengths, resets, and the scales of the norms, 1/H a unit each.
    assert numbers <= per_unit < numbers + 8 / T + 4 / H


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_recomputing_keeps_next_to_nothing(cell: str) -> None:
    layer = getattr(nn, cell)(D, H, num_layers=2, layer_norm=True, recompute=True)
    recomputed = kept_bytes(layer)
    layer.recompute = False
    between = 4 * T * B * H  # the output of the first layer, which is the input of the second
    assert between <= recomputed < 1.1 * between < 0.2 * kept_bytes(layer)


@every_way
@pytest.mark.parametrize("name", ["auto", "loop"])
@pytest.mark.parametrize("configured", CONFIGURED.values(), ids=CONFIGURED)
def test_recomputing_changes_no_bit(
    configured: Configured, name: str, ways: tuple[str, ...]
) -> None:
    layer = make(configured, num_layers=2, bidirectional=True)
    x, hx, found = torch.randn(6, 3, 3, dtype=torch.float64), starting_state(layer), []
    for layer.recompute in (False, True):
        with nn.implementation(name):
            found.append(answers(layer, layer, x, hx, **around(ways)))
    assert_same(*found, atol=0)


def test_recomputing_under_other_tools() -> None:
    layer = make(CONFIGURED["lstm-plain"], recompute=True)
    x, hx = torch.randn(6, 3, 3, dtype=torch.float64), starting_state(layer)
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    assert_same(answers(layer, compiled, x, hx), answers(layer, layer, x, hx))
    per_sample = torch.vmap(torch.func.grad(lambda x: layer(x)[0].sum()), 1, 1)(x[:, :, None])
    (whole,) = torch.autograd.grad(layer(leaf := x.clone().requires_grad_())[0].sum(), leaf)
    torch.testing.assert_close(per_sample[:, :, 0], whole, rtol=0, atol=1e-10)
