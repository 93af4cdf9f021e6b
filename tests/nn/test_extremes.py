"""Numbers that are not finite, or nearly not, on the core: as with torch.nn, forward and backward.

On the tiles of AMX a float32 is the sum of three parts, which these have not.
"""

import math

import pytest
import torch

from elman import nn

T, B, D, H = 9, 19, 21, 37  # rows enough for tiles, none of the sizes a multiple of theirs

WHERE = ["x", "first", "weight_ih_l0", "weight_hh_l0", "gradient"]
EXTREMES = [math.inf, -math.inf, math.nan, 3.4028e38]


@pytest.mark.parametrize("value", EXTREMES)
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_extreme_numbers_spread_as_in_torch(cell: str, where: str, value: float) -> None:
    generator = torch.Generator().manual_seed(5)
    theirs = getattr(torch.nn, cell)(D, H)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.uniform_(-0.3, 0.3, generator=generator)
    found, wanted = [], []
    for layer, to in ((getattr(nn, cell)(D, H), found), (theirs, wanted)):
        layer.load_state_dict(theirs.state_dict())
        generator.manual_seed(6)
        x, first, cells, gradient = (
            torch.rand(size, generator=generator)
            for size in ((T, B, D), (1, B, H), (1, B, H), (T, B, H))
        )
        arrays = {"x": x, "first": first, "gradient": gradient} | dict(layer.named_parameters())
        with torch.no_grad():
            arrays[where].view(-1)[arrays[where].numel() // 2] = value
        inputs = [x.requires_grad_(), first.requires_grad_(), *layer.parameters()]
        y, _ = layer(x, (first, cells) if cell == "LSTM" else first)
        to += [y, *torch.autograd.grad(y, inputs, gradient)]
    torch.testing.assert_close(found[0], wanted[0], rtol=0, atol=2e-6, equal_nan=True)
    for mine, their in zip(found[1:], wanted[1:], strict=True):
        # What is not finite: another order of the same sums may make it so elsewhere.
        there = their.isfinite()
        bound = 1e-5 * their[there].abs().max().item() if there.any() else 0
        torch.testing.assert_close(mine[there], their[there], rtol=0, atol=bound)
