"""Which layers PyTorch's own kernels are trusted with, and what they give."""

from typing import Any

import pytest
import torch

from elman.nn import fused, unrolled
from elman.nn.loop import Conditions
from elman.spec import LayerSpec

PLAIN = {
    "tanh": LayerSpec("elman", 3, 4),
    "relu": LayerSpec("elman", 3, 4, nonlinearity="relu", bias=False),
    "gru": LayerSpec("gru", 3, 4, learn_initial_state=True),
    "lstm": LayerSpec("lstm", 3, 4),
    "lstm-proj": LayerSpec("lstm", 3, 4, proj_size=2),
}
BEYOND = {
    "order": LayerSpec("elman", 3, 4, order=2),
    "layer_norm": LayerSpec("gru", 3, 4, layer_norm=True),
    "peephole": LayerSpec("lstm", 3, 4, peephole=True),
}
AROUND: dict[str, dict[str, Any]] = {
    "lengths": {"lengths": torch.tensor([2])},
    "resets": {"resets": torch.tensor([[True]])},
    "mask": {"mask": torch.ones(1, 4)},
    "keep": {"keep": (torch.zeros(1, 1, 1),)},
}


@pytest.mark.parametrize("spec", PLAIN.values(), ids=PLAIN)
def test_plain_layers_are_those_of_the_loop(spec: LayerSpec) -> None:
    assert fused.supports(spec, Conditions(initial=(torch.zeros(4),)))
    p = {n: torch.randn(s, dtype=torch.float64) for n, s in spec.parameter_shapes.items()}
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    state = tuple(torch.randn(2, s, dtype=torch.float64) for s in spec.state_sizes.values())

    for reverse in (False, True):
        outputs, final, _ = unrolled.run(spec, p, x, state, Conditions(), reverse=reverse)
        found = fused.run(spec, p, x, state, reverse=reverse)
        torch.testing.assert_close(found, (outputs, final), rtol=0, atol=1e-13)


@pytest.mark.parametrize("spec", BEYOND.values(), ids=BEYOND)
def test_options_are_beyond_them(spec: LayerSpec) -> None:
    assert not fused.supports(spec, Conditions())


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_conditions_are_beyond_them(around: dict[str, Any]) -> None:
    assert not fused.supports(PLAIN["gru"], Conditions(**around))
