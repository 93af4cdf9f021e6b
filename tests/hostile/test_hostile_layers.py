"""Layers of ``elman.nn`` with arguments that do not fit: one line that says which, and why."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from elman import nn
from elman.errors import UsageError

T, B, D, H = 5, 3, 4, 6


def x(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.ones(shape or (T, B, D), dtype=dtype)


CASES: dict[str, Callable[[Any], Any]] = {
    "no-timesteps": lambda layer: layer(x(0, B, D)),
    "no-sequences": lambda layer: layer(x(T, 0, D)),
    "no-features": lambda layer: layer(x(T, B, 0)),
    "one-dimension": lambda layer: layer(x(D)),
    "four-dimensions": lambda layer: layer(x(T, B, D, 1)),
    "other-dtype": lambda layer: layer(x(dtype=torch.float64)),
    "whole-numbers": lambda layer: layer(x(dtype=torch.int64)),
    "complex": lambda layer: layer(x(dtype=torch.complex64)),
    "lengths-float": lambda layer: layer(x(), lengths=torch.full((B,), 2.0)),
    "lengths-bool": lambda layer: layer(x(), lengths=torch.ones(B, dtype=torch.bool)),
    "lengths-zero": lambda layer: layer(x(), lengths=[0, 1, 2]),
    "lengths-long": lambda layer: layer(x(), lengths=[T + 1, 1, 2]),
    "lengths-few": lambda layer: layer(x(), lengths=[1, 2]),
    "lengths-text": lambda layer: layer(x(), lengths="abc"),
    "lengths-huge": lambda layer: layer(x(), lengths=[2**80, 1, 1]),
    "resets-few": lambda layer: layer(x(), resets=torch.zeros(T, B + 1, dtype=torch.bool)),
    "resets-text": lambda layer: layer(x(), resets="abc"),
    "state-wide": lambda layer: layer(x(), _state(layer, x(1, B, H + 1))),
    "state-flat": lambda layer: layer(x(), _state(layer, x(B, H))),
    "state-dtype": lambda layer: layer(x(), _state(layer, x(1, B, H, dtype=torch.float64))),
    "state-number": lambda layer: layer(x(), 3),
    "state-text": lambda layer: layer(x(), "h"),
    "not-a-tensor": lambda layer: layer([[1.0]]),
    "nothing": lambda layer: layer(None),
}


def _state(layer: Any, h: torch.Tensor) -> Any:
    return (h, h) if isinstance(layer, nn.LSTM) else h


@pytest.mark.parametrize("cell", [nn.RNN, nn.GRU, nn.LSTM], ids=lambda c: c.__name__)
@pytest.mark.parametrize("case", CASES)
def test_refused_in_one_line(case: str, cell: Any) -> None:
    torch.manual_seed(0)
    with pytest.raises(UsageError) as caught:
        CASES[case](cell(D, H))
    line = str(caught.value)
    assert line.startswith("[") and line.isprintable() and len(line) < 300


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32])
def test_lengths_of_any_whole_type(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = nn.GRU(D, H)
    lengths = torch.tensor([2, 5, 1])
    wanted, _ = layer(x(), lengths=lengths)
    found, _ = layer(x(), lengths=lengths.to(dtype))
    assert torch.equal(found, wanted)


def test_inputs_that_are_not_contiguous() -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(D, H, layer_norm=True)
    whole = torch.randn(D, B, 2 * T)
    given = whole.permute(2, 1, 0)[::2]
    state = tuple(torch.randn(1, H, B).transpose(1, 2) for _ in range(2))
    wanted, _ = layer(given.contiguous(), tuple(each.contiguous() for each in state))
    found, _ = layer(given, state)
    assert torch.equal(found, wanted)
