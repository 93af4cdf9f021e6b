"""The functions inside the cells, at their ends and against torch."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from elman.reference.activations import (
    layer_norm,
    layer_norm_back,
    relu,
    relu_slope,
    sigmoid,
    sigmoid_slope,
    tanh,
    tanh_slope,
)
from elman.spec import LAYER_NORM_EPS


def test_sigmoid_is_exact_and_quiet_far_out() -> None:
    found = sigmoid(np.array([-1e4, -700.0, -50.0, 0.0, 50.0, 1e4]))
    expected = [0.0, math.exp(-700.0), math.exp(-50.0) / (1 + math.exp(-50.0)), 0.5, 1.0, 1.0]
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("function", "slope", "theirs"),
    [
        (sigmoid, sigmoid_slope, torch.sigmoid),
        (tanh, tanh_slope, torch.tanh),
        (relu, relu_slope, torch.relu),
    ],
    ids=["sigmoid", "tanh", "relu"],
)
def test_slopes_are_those_of_torch(function: Any, slope: Any, theirs: Any) -> None:
    v = torch.linspace(-6, 6, 41, dtype=torch.float64, requires_grad=True)
    expected = theirs(v)
    (expected_slope,) = torch.autograd.grad(expected.sum(), [v])
    y = function(v.detach().numpy())
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=0, atol=1e-14)
    np.testing.assert_allclose(slope(y), expected_slope.numpy(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_layer_norm_is_that_of_torch(scale: float) -> None:
    torch.manual_seed(1)
    v = (2.0 + torch.randn(4, 3, 7, dtype=torch.float64)).mul(scale).requires_grad_()
    gain = torch.randn(7, dtype=torch.float64, requires_grad=True)
    d = torch.randn(4, 3, 7, dtype=torch.float64)
    expected = torch.nn.functional.layer_norm(v, (7,), gain, eps=LAYER_NORM_EPS)
    by_v, by_gain = torch.autograd.grad((expected * d).sum(), [v, gain])
    found, saved = layer_norm(v.detach().numpy(), gain.detach().numpy())
    d_v, d_gain = layer_norm_back(d.numpy(), saved, gain.detach().numpy())
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=0, atol=1e-11)
    np.testing.assert_allclose(d_v * scale, by_v.numpy() * scale, rtol=0, atol=1e-11)
    np.testing.assert_allclose(d_gain, by_gain.numpy(), rtol=0, atol=1e-11)
