"""First and second derivatives of the core against numeric ones, for every cell and option."""

from typing import Any

import pytest
import torch
from nn.configured import (
    CONFIGURED,
    WAYS,
    Configured,
    D,
    around,
    flat,
    make,
    starting_state,
    weigh,
)
from torch import Tensor
from torch.func import functional_call

from elman import nn
from elman.core import is_built

pytestmark = pytest.mark.skipif(not is_built(), reason="these derivatives are the core's")
STEPS, BATCH = 4, 3
every_way = pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
every_layer = pytest.mark.parametrize("configured", CONFIGURED.values(), ids=CONFIGURED)
direction = pytest.mark.parametrize("bidirectional", [False, True], ids=["oneway", "bothways"])


def function_of(
    configured: Configured, ways: tuple[str, ...], bidirectional: bool
) -> tuple[Any, list[Tensor]]:
    """A layer as a function of x, its state and its parameters, with the same draws each time."""
    layer = make(configured, bidirectional=bidirectional)
    p, how = dict(layer.named_parameters()), around(ways, STEPS, BATCH)
    state = [s.detach().requires_grad_() for s in flat(starting_state(layer, BATCH))]
    x = torch.randn(STEPS, BATCH, D, dtype=torch.float64, requires_grad=True)

    def run(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        torch.manual_seed(6)
        hx = rest[: len(state)] if len(state) > 1 else rest[0]
        values = dict(zip(p, rest[len(state) :], strict=True))
        with nn.implementation("core"):
            y, final = functional_call(layer, values, (x, hx), how)
        return y, *flat(final)

    # What nothing starts from (a learned state beside hx) has no derivative to compare.
    used = {
        n: q.detach().requires_grad_("resets" in ways or "initial" not in n) for n, q in p.items()
    }
    return run, [x, *state, *used.values()]


@direction
@every_way
@every_layer
def test_gradients_are_the_numeric_ones(
    configured: Configured, ways: tuple[str, ...], bidirectional: bool
) -> None:
    run, inputs = function_of(configured, ways, bidirectional)
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)


@direction
@every_way
@every_layer
def test_second_derivatives_are_the_numeric_ones(
    configured: Configured, ways: tuple[str, ...], bidirectional: bool
) -> None:
    run, inputs = function_of(configured, ways, bidirectional)
    assert torch.autograd.gradgradcheck(run, inputs, fast_mode=True, atol=1e-4)


@direction
@every_way
@every_layer
def test_second_derivatives_are_the_loops(
    configured: Configured, ways: tuple[str, ...], bidirectional: bool
) -> None:
    layer, how = make(configured, bidirectional=bidirectional), around(ways, STEPS, BATCH)
    x = torch.randn(STEPS, BATCH, D, dtype=torch.float64, requires_grad=True)
    hx, found = starting_state(layer, BATCH), []
    for name in ("core", "loop"):
        torch.manual_seed(6)
        with nn.implementation(name):
            y, final = layer(x, hx, **how)
        inputs = [x, *flat(hx), *layer.parameters()]
        first = torch.autograd.grad(
            weigh([y, *flat(final)]),
            inputs,
            create_graph=True,
            materialize_grads=True,
            allow_unused=True,
        )
        loss = weigh([d.sin() for d in first])
        second = torch.autograd.grad(loss, inputs, materialize_grads=True, allow_unused=True)
        found.append([*first, *second])
    torch.testing.assert_close(*found, rtol=0, atol=1e-10)


def test_a_penalty_on_gradients_trains() -> None:
    layer = nn.LSTM(D, 4, dtype=torch.float64)
    x = torch.randn(5, 2, D, dtype=torch.float64, requires_grad=True)

    def penalty() -> Tensor:
        (d_x,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
        return d_x.square().sum()

    before = penalty()
    before.backward()
    with torch.no_grad():
        for p in layer.parameters():
            assert p.grad is not None
            p -= 0.01 * p.grad
    assert penalty() < before
