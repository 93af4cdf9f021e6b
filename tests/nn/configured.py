"""Layers with every option, and everything they answer to one call: shared by several tests."""

from typing import Any

import torch
from torch import Tensor

from elman import nn

CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    "tanh": ("RNN", {}),
    "relu3": ("RNN", {"nonlinearity": "relu", "order": 3}),
    "gru": ("GRU", {}),
    "lstm": ("LSTM", {}),
    "peephole": ("LSTM", {"peephole": True}),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no_bias": {"bias": False},
    "layer_norm": {"layer_norm": True},
    "random": {"recurrent_dropout": 0.4, "zoneout": 0.3},
    "all": {
        "layer_norm": True,
        "learn_initial_state": True,
        "recurrent_dropout": 0.4,
        "zoneout": 0.3,
    },
}
CONFIGURED = {
    f"{cell}-{option}": (kind, own | shared)
    for cell, (kind, own) in CELLS.items()
    for option, shared in OPTIONS.items()
}
WAYS = {"whole": (), "resets": ("resets",), "lengths": ("lengths",), "both": ("lengths", "resets")}
T, B, D, H = 6, 3, 3, 5

Configured = tuple[str, dict[str, Any]]


def make(configured: Configured, dtype: torch.dtype = torch.float64, **options: Any) -> Any:
    """A layer in which no parameter is 0 or 1, in training mode."""
    kind, own = configured
    torch.manual_seed(1)
    layer = getattr(nn, kind)(D, H, dtype=dtype, **own, **options)
    for parameter in layer.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 0.3, 0.5)
    return layer


def around(ways: tuple[str, ...], steps: int = T, batch: int = B) -> dict[str, Tensor]:
    """Lengths in no order, and resets at the start, in a row, at the end and in the padding."""
    resets = torch.zeros(steps, batch, dtype=torch.bool)
    resets[0, 0] = resets[2:4, 0] = resets[-1, -1] = resets[steps // 2, batch // 2] = True
    lengths = torch.tensor([steps - 2, steps, 1, *[steps // 2 + 1] * batch])[:batch]
    return {n: v for n, v in {"lengths": lengths, "resets": resets}.items() if n in ways}


def starting_state(layer: Any, batch: int = B, seed: int = 2) -> Any:
    """Non-zero states that ask for gradients, as the layer hands them out."""
    generator = torch.Generator().manual_seed(seed)
    names = layer.specs[0][0].state_sizes
    rows, dtype = layer.num_layers * layer.directions, next(layer.parameters()).dtype
    drawn = [torch.randn(rows, batch, H, generator=generator, dtype=dtype) for _ in names]
    states = tuple(each.requires_grad_() for each in drawn)
    return states if len(states) > 1 else states[0]


def flat(state: Any) -> list[Tensor]:
    """The tensors of a state."""
    return list(state) if isinstance(state, tuple) else [state]


def weigh(tensors: list[Tensor]) -> Tensor:
    """A loss in which every number has a weight of its own."""
    total = torch.zeros((), dtype=tensors[0].dtype)
    for i, each in enumerate(tensors):
        weights = torch.linspace(-1, 1.5 + 0.1 * i, each.numel(), dtype=each.dtype)
        total = total + (each * weights.view(each.shape)).sum()
    return total


def answers(
    layer: Any, call: Any, x: Tensor, hx: Any, seed: int = 3, **how: Any
) -> dict[str, Tensor]:
    """Outputs and final state of ``call``, and the gradients of x, the state and all parameters."""
    x = x.detach().clone().requires_grad_()
    leaves = [each.detach().clone().requires_grad_() for each in flat(hx)]
    layer.zero_grad()
    torch.manual_seed(seed)
    y, final = call(x, tuple(leaves) if len(leaves) > 1 else leaves[0], **how)
    weigh([y, *flat(final)]).backward()
    found = {"outputs": y, "d x": x.grad}
    found |= {f"final {i}": each for i, each in enumerate(flat(final))}
    found |= {f"d state {i}": each.grad for i, each in enumerate(leaves)}
    for name, p in layer.named_parameters():
        found[f"d {name}"] = torch.zeros_like(p) if p.grad is None else p.grad
    assert all(each is not None for each in found.values())
    return {name: each.detach().clone() for name, each in found.items() if each is not None}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], atol: float = 1e-10) -> None:
    """Raise unless every answer agrees."""
    assert found.keys() == expected.keys()
    for name, each in expected.items():
        torch.testing.assert_close(
            found[name], each, rtol=0, atol=atol, msg=lambda m, n=name: f"{n}: {m}"
        )
