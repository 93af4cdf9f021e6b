"""Two updates of every optimiser against the formulas written out by hand in float64."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from elman.errors import UsageError
from elman.train.optimiser import build, clip

Array = NDArray[np.float64]
LR, DECAY, MOMENTUM, BETAS = 0.1, 0.3, 0.8, (0.7, 0.9)


def sgd(w: Array, gradients: list[Array], decay: float) -> Array:
    v = np.zeros_like(w)
    for g in gradients:
        v = MOMENTUM * v + (g + decay * w)
        w = w - LR * v
    return w


def adamw(w: Array, gradients: list[Array], decay: float) -> Array:
    """Loshchilov & Hutter (2019), algorithm 2."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        m = BETAS[0] * m + (1 - BETAS[0]) * g
        v = BETAS[1] * v + (1 - BETAS[1]) * g * g
        step = (m / (1 - BETAS[0] ** t)) / (np.sqrt(v / (1 - BETAS[1] ** t)) + 1e-8)
        w = w - LR * (step + decay * w)
    return w


def rmsprop(w: Array, gradients: list[Array], decay: float) -> Array:
    """Graves (2013), equations 38-41, with the epsilon outside the root as PyTorch has it."""
    n, mean, delta = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for g in gradients:
        g = g + decay * w
        n = 0.95 * n + 0.05 * g * g
        mean = 0.95 * mean + 0.05 * g
        delta = MOMENTUM * delta + g / (np.sqrt(n - mean * mean) + 1e-4)
        w = w - LR * delta
    return w


@pytest.mark.parametrize("shape", [(3, 5), (5,)], ids=["matrix", "bias"])
@pytest.mark.parametrize("by_hand", [sgd, adamw, rmsprop], ids=lambda f: f.__name__)
def test_updates(
    by_hand: Callable[[Array, list[Array], float], Array], shape: tuple[int, ...]
) -> None:
    """A matrix decays, a bias does not."""
    random = np.random.default_rng(7)
    start, gradients = random.normal(size=shape), list(random.normal(size=(3, *shape)))
    weight = nn.Parameter(torch.tensor(start))
    optimiser = build(
        by_hand.__name__,
        [("w", weight)],
        lr=LR,
        weight_decay=DECAY,
        momentum=MOMENTUM,
        betas=BETAS,
    )
    for gradient in gradients:
        weight.grad = torch.tensor(gradient)
        optimiser.step()
    expected = by_hand(start, gradients, DECAY if len(shape) == 2 else 0.0)
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-12)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 3)
        self.norm_ih = nn.Parameter(torch.ones(5))
        self.initial_h = nn.Parameter(torch.zeros(1, 5))
        self.out = nn.Linear(3, 7)
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)


def test_weight_decay_reaches_matrices_only() -> None:
    net = Net()
    optimiser = build("adamw", net.named_parameters(), lr=0.1, weight_decay=0.2)
    names = {id(held): name for name, held in net.named_parameters()}
    decay = {
        names[id(held)]: group["weight_decay"]
        for group in optimiser.param_groups
        for held in group["params"]
    }
    assert decay == {
        "embedding.weight": 0.2,
        "out.weight": 0.2,
        "norm_ih": 0.0,
        "initial_h": 0.0,
        "out.bias": 0.0,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "adam"}, "name must be one of sgd, adamw, rmsprop, found 'adam'; did you mean"),
        ({"name": "lbfgs"}, "name must be one of sgd, adamw, rmsprop, found 'lbfgs'"),
        ({"lr": 0.0}, "lr must be above 0, found 0.0"),
        ({"lr": math.nan}, "lr must be above 0, found nan"),
        ({"lr": math.inf}, "lr must be above 0, found inf"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0, found -1.0"),
        ({"momentum": 1.0}, "momentum must be from 0 to below 1, found 1.0"),
        ({"betas": (0.9, 1.0)}, "betas must be from 0 to below 1, found (0.9, 1.0)"),
        ({"parameters": []}, "there must be a parameter to train, found none"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_refuses(changes: dict[str, Any], message: str) -> None:
    options: dict[str, Any] = {"name": "sgd", "parameters": Net().named_parameters(), "lr": 0.1}
    with pytest.raises(UsageError) as caught:
        build(**(options | changes))
    assert str(caught.value).startswith(f"[optimiser] {message}")


def test_clip_scales_to_the_joint_norm() -> None:
    """Gradients (3, 4) and 12 have the joint norm 13."""
    first, second = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1, 1))
    first.grad, second.grad = torch.tensor([3.0, 4.0]), torch.tensor([[12.0]])
    assert clip([first, second], 6.5) == pytest.approx(13)
    torch.testing.assert_close(first.grad, torch.tensor([1.5, 2.0]))
    torch.testing.assert_close(second.grad, torch.tensor([[6.0]]))


@pytest.mark.parametrize("limit", [5.5, math.inf])
def test_clip_leaves_small_gradients(limit: float) -> None:
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    assert clip(iter([weight]), limit) == 5.0
    assert weight.grad.tolist() == [3.0, 4.0]


def test_clip_reports_a_norm_that_is_not_finite() -> None:
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, math.nan])
    assert math.isnan(clip([weight], 1.0))


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan])
def test_clip_refuses(limit: float) -> None:
    with pytest.raises(UsageError, match="max_norm must be above 0"):
        clip([nn.Parameter(torch.zeros(2))], limit)
