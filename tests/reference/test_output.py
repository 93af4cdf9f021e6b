"""The output layer and its loss against torch, and the plain update."""

import numpy as np
import pytest
import torch

from elman.errors import UsageError
from elman.reference import Linear, cross_entropy, sgd, softmax


def test_linear_and_cross_entropy_are_those_of_torch() -> None:
    torch.manual_seed(2)
    layer = torch.nn.Linear(4, 6, dtype=torch.float64)
    h = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 6, (5, 3))
    targets[1, 2], targets[4, 0] = -100, -100
    y = layer(h)
    expected = torch.nn.functional.cross_entropy(y.flatten(0, 1), targets.flatten())
    by_h, by_weight, by_bias = torch.autograd.grad(expected, [h, layer.weight, layer.bias])
    linear = Linear(layer.weight.detach().numpy(), layer.bias.detach().numpy())
    found_y = linear.forward(h.detach().numpy())
    loss, d_y = cross_entropy(found_y, targets.numpy())
    d_h, gradients = linear.backward(d_y, h.detach().numpy())
    np.testing.assert_allclose(found_y, y.detach().numpy(), rtol=0, atol=1e-13)
    assert loss == pytest.approx(expected.item(), abs=1e-13)
    np.testing.assert_allclose(d_h, by_h.numpy(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(gradients["weight"], by_weight.numpy(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(gradients["bias"], by_bias.numpy(), rtol=0, atol=1e-13)


def test_extreme_scores_neither_overflow_nor_lose_the_loss() -> None:
    y = np.array([[1e4, 0.0, -1e4], [-1e4, 1e4, 0.0]])
    np.testing.assert_array_equal(softmax(y), [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    loss, d_y = cross_entropy(y, [0, 2])
    assert loss == pytest.approx(1e4 / 2)
    np.testing.assert_array_equal(d_y, [[0.0, 0.0, 0.0], [0.0, 0.5, -0.5]])


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([0, 3], r"\[cross_entropy\] targets must be at most V-1=2, found 3"),
        ([-1, -1], r"targets must hold at least one given, found none"),
        ([0.0, 1.0], r"targets must be integers, found float64"),
        ([0, 1, 2], r"targets must have shape \(2,\), found \(3,\)"),
    ],
    ids=["too_large", "none_given", "float", "shape"],
)
def test_targets_that_cannot_be_used(targets: list[float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cross_entropy(np.zeros((2, 3)), targets)


def test_linear_shapes() -> None:
    with pytest.raises(UsageError, match=r"\[Linear\] bias must have shape \(6,\), found \(4,\)"):
        Linear(np.zeros((6, 4)), np.zeros(4))


def test_sgd_moves_in_place_against_the_gradient() -> None:
    weight = np.array([1.0, 2.0])
    sgd({"w": weight}, {"w": np.array([10.0, -10.0])}, rate=0.1)
    np.testing.assert_allclose(weight, [0.0, 3.0])


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_sgd_refuses_a_rate_that_does_not_descend(rate: float) -> None:
    with pytest.raises(UsageError, match=r"\[sgd\] rate must be a positive number"):
        sgd({}, {}, rate)


def test_sgd_refuses_gradients_of_other_parameters() -> None:
    with pytest.raises(UsageError, match="found in only one: b, c"):
        sgd({"a": np.ones(1), "b": np.ones(1)}, {"a": np.ones(1), "c": np.ones(1)}, 0.1)
