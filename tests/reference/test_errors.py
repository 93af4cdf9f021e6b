"""What the door refuses, and the line it says."""

import re
from typing import Any

import numpy as np
import pytest

from elman.errors import UsageError
from elman.reference import GRU, LSTM, Elman, backward, build, forward, initialise
from elman.spec import LayerSpec

STEPS, BATCH = 64, 5
LENGTHS = np.array([64, 1, 7, 80, 90])


def cell(kind: str = "lstm", **options: Any) -> Any:
    spec = LayerSpec(kind, 3, 4, **options)
    return build(spec, initialise(spec, np.random.default_rng(0)))


def zeros(*shape: int) -> Any:
    return np.zeros(shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"lengths": LENGTHS},
            "[LSTM] lengths must be between 1 and T=64, found 80 at batch index 3; "
            "clip or pad the sequence",
        ),
        ({"lengths": [1, 2, 0, 3, 4]}, "T=64, found 0 at batch index 2; clip or pad"),
        ({"lengths": [1.0] * BATCH}, "[LSTM] lengths must be integers, found float64"),
        ({"lengths": [1]}, "[LSTM] lengths must have shape (5,), found (1,)"),
        ({"resets": zeros(STEPS, BATCH)}, "[LSTM] resets must be bool, found float64"),
        ({"resets": zeros(BATCH)}, "[LSTM] resets must have shape (64, 5), found (5,)"),
        ({"mask": zeros(4)}, "[LSTM] mask must have shape (5, 4), found (4,)"),
        ({"keep": (0.5,)}, "[LSTM] keep must hold 2 arrays (h, c), found 1"),
        ({"keep": (0.5, 1.5)}, "[LSTM] keep c must be between 0 and 1, found 1.5"),
        ({"keep": (float("nan"), 0.5)}, "[LSTM] keep h must be between 0 and 1, found nan"),
        ({"keep": (0.5, zeros(4))}, "[LSTM] keep c must have shape (64, 5, 4), found (4,)"),
        ({"initial": (zeros(4),)}, "[LSTM] initial must hold 2 arrays (h, c), found 1"),
        ({"initial": ()}, "[LSTM] initial must hold 2 arrays (h, c), found 0"),
        (
            {"initial": (zeros(4), zeros(5, 4))},
            "[LSTM] initial c must have shape (4,), found (5, 4)",
        ),
        ({"state0": (zeros(5, 4),)}, "[LSTM] state0 must hold 2 arrays (h, c), found 1"),
        (
            {"state0": (zeros(5, 4), zeros(4, 4))},
            "[LSTM] state0 c must have shape (5, 4), found (4, 4)",
        ),
        ({"x": zeros(STEPS, BATCH, 2)}, "[LSTM] x must have shape (T, B, 3), found (64, 5, 2)"),
        ({"x": zeros(BATCH, 3)}, "[LSTM] x must have shape (T, B, 3), found (5, 3)"),
        ({"x": zeros(0, BATCH, 3)}, "[LSTM] x must have at least one timestep, found T=0"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_forward_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        forward(cell(), **({"x": zeros(STEPS, BATCH, 3)} | options))


def test_backward_refuses_other_shapes() -> None:
    trace = forward(cell("gru"), zeros(7, 2, 3))
    with pytest.raises(UsageError, match=r"\[GRU\] d_outputs must have shape \(7, 2, 4\)"):
        backward(trace, zeros(7, 2, 3))
    with pytest.raises(UsageError, match=r"\[GRU\] d_states h must have shape \(7, 2, 4\)"):
        backward(trace, zeros(7, 2, 4), d_states=(zeros(2, 4),))
    with pytest.raises(UsageError, match=r"\[GRU\] d_final must hold 1 arrays \(h\), found 2"):
        backward(trace, zeros(7, 2, 4), d_final=(zeros(2, 4), zeros(2, 4)))


def test_timestep_refuses_other_shapes() -> None:
    with pytest.raises(UsageError, match=r"\[Elman\] x must have shape \(B, 3\), found \(2, 2\)"):
        cell("elman").timestep(zeros(2, 2), (zeros(2, 4),))
    with pytest.raises(UsageError, match=r"\[Elman\] state h2 must have shape \(2, 4\)"):
        cell("elman", order=2).timestep(zeros(2, 3), (zeros(2, 4), zeros(1, 4)))


def test_a_cell_refuses_parameters_that_are_not_its_own() -> None:
    spec = LayerSpec("gru", 3, 4)
    parameters = initialise(spec, np.random.default_rng(0))
    with pytest.raises(UsageError, match=r"\[LSTM\] spec.cell must be 'lstm', found 'gru'"):
        LSTM(spec, parameters)
    with pytest.raises(UsageError, match="found missing: bias_hh; surplus: weight_hr"):
        GRU(spec, {n.replace("bias_hh", "weight_hr"): p for n, p in parameters.items()})
    with pytest.raises(UsageError, match=r"\[GRU\] bias_hh must have shape \(12,\), found \(4,\)"):
        GRU(spec, parameters | {"bias_hh": zeros(4)})
    with pytest.raises(UsageError, match=r"\[Elman\] spec.cell must be 'elman'"):
        Elman(spec, parameters)
