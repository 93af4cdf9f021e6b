"""One timestep of each cell, against its equation written out number by number."""

import math

import pytest
import torch

from elman.nn import cells
from elman.spec import LayerSpec

# One input, one hidden unit, one sequence: every weight is one number.
X, H, C = 0.7, -0.4, 0.9


def sigmoid(v: float) -> float:
    return 1.0 / (1.0 + math.exp(-v))


def run(spec: LayerSpec, weights: dict[str, list[float]], *state: float) -> list[float]:
    p = {
        name: torch.tensor(weights[name], dtype=torch.float64).reshape(shape)
        for name, shape in spec.parameter_shapes.items()
    }
    x = torch.tensor([[[X]]], dtype=torch.float64)
    before = tuple(torch.tensor([[s]], dtype=torch.float64) for s in state)
    after = cells.step(spec, p, cells.input_part(spec, p, x)[0], before, None)
    return [s.item() for s in after]


@pytest.mark.parametrize(
    ("nonlinearity", "f"),
    [("tanh", math.tanh), ("relu", lambda v: max(v, 0.0))],
    ids=["tanh", "relu"],
)
@pytest.mark.parametrize("w", [0.3, -0.3], ids=["positive", "negative"])
def test_elman(nonlinearity: str, f: object, w: float) -> None:
    spec = LayerSpec("elman", 1, 1, nonlinearity=nonlinearity)
    weights = {"weight_ih": [w], "weight_hh": [w], "bias_ih": [0.1], "bias_hh": [-0.2]}
    assert callable(f)
    assert run(spec, weights, H) == pytest.approx([f(w * X + 0.1 + w * H - 0.2)], abs=1e-15)


def test_elman_of_order_2_shifts_its_past() -> None:
    spec = LayerSpec("elman", 1, 1, order=2, bias=False)
    weights = {"weight_ih": [0.3], "weight_hh": [0.5, -0.8]}
    h = math.tanh(0.3 * X + 0.5 * H - 0.8 * 0.2)
    assert run(spec, weights, H, 0.2) == pytest.approx([h, H], abs=1e-15)


def test_gru() -> None:
    weights = {
        "weight_ih": [0.3, -0.5, 0.7],
        "weight_hh": [0.2, 0.4, -0.6],
        "bias_ih": [0.1, 0.2, 0.3],
        "bias_hh": [-0.1, 0.5, 0.8],
    }
    r = sigmoid(0.3 * X + 0.1 + 0.2 * H - 0.1)
    z = sigmoid(-0.5 * X + 0.2 + 0.4 * H + 0.5)
    n = math.tanh(0.7 * X + 0.3 + r * (-0.6 * H + 0.8))
    found = run(LayerSpec("gru", 1, 1), weights, H)
    assert found == pytest.approx([(1 - z) * n + z * H], abs=1e-15)


def test_lstm_with_peepholes() -> None:
    weights = {
        "weight_ih": [0.3, -0.5, 0.7, 0.9],
        "weight_hh": [0.2, 0.4, -0.6, -0.8],
        "bias_ih": [0.1, 0.2, 0.3, 0.4],
        "bias_hh": [-0.1, 0.5, 0.8, -0.3],
        "peephole": [0.6, -0.7, 1.1],
    }
    i = sigmoid(0.3 * X + 0.1 + 0.2 * H - 0.1 + 0.6 * C)
    f = sigmoid(-0.5 * X + 0.2 + 0.4 * H + 0.5 - 0.7 * C)
    g = math.tanh(0.7 * X + 0.3 - 0.6 * H + 0.8)
    c = f * C + i * g
    o = sigmoid(0.9 * X + 0.4 - 0.8 * H - 0.3 + 1.1 * c)
    found = run(LayerSpec("lstm", 1, 1, peephole=True), weights, H, C)
    assert found == pytest.approx([o * math.tanh(c), c], abs=1e-15)


def test_layer_norm_of_the_input_part() -> None:
    spec = LayerSpec("gru", 1, 1, layer_norm=True)
    p = {
        "weight_ih": torch.tensor([[1.0], [2.0], [6.0]], dtype=torch.float64),
        "norm_ih": torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64),
        "bias_ih": torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64),
    }
    a = cells.input_part(spec, p, torch.ones(1, 1, 1, dtype=torch.float64))
    deviation = math.sqrt((4 + 1 + 9) / 3 + 1e-5)  # the products 1, 2, 6 have mean 3
    expected = [2 * -2 / deviation + 0.1, 3 * -1 / deviation + 0.2, 5 * 3 / deviation + 0.3]
    assert a.flatten().tolist() == pytest.approx(expected, abs=1e-15)


def test_the_mask_touches_the_recurrent_product_only() -> None:
    spec = LayerSpec("gru", 1, 2)
    p = {n: torch.randn(s, dtype=torch.float64) for n, s in spec.parameter_shapes.items()}
    a, h = torch.randn(1, 6, dtype=torch.float64), torch.randn(1, 2, dtype=torch.float64)
    mask = torch.tensor([[0.0, 2.0]], dtype=torch.float64)
    masked = cells.step(spec, p, a, (h,), mask)[0]
    # The same as weights whose columns are 0 and doubled, while z * h still sees all of h.
    weighted = {**p, "weight_hh": p["weight_hh"] * mask}
    torch.testing.assert_close(masked, cells.step(spec, weighted, a, (h,), None)[0])
