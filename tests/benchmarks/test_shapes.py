"""The arithmetic that is counted is the arithmetic that is done."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import elman_peer, torch_peer
from benchmarks.problem import draw
from benchmarks.shapes import TABLE, Shape, forward_flops, training_flops
from elman.nn import implementation
from elman.spec import CELLS


@pytest.mark.parametrize("shape", [Shape(3, 2, 5, 7), Shape(1, 1, 64, 64)], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_flops_are_those_that_pytorch_counts(cell, shape):
    problem = draw(cell, shape)
    layer = elman_peer.layer(problem)
    x, _, state = torch_peer.hand_in(problem, requires_grad=True)
    with implementation("loop"), FlopCounterMode(display=False) as forward, torch.no_grad():
        layer(x, state)
    with implementation("loop"), FlopCounterMode(display=False) as both:
        y, _ = layer(x, state)
        y.sum().backward()
    assert forward.get_total_flops() == forward_flops(cell, shape)
    assert both.get_total_flops() == training_flops(cell, shape)


def test_the_table_is_the_agreed_one():
    shapes = "64,32,64,128 128,64,256,256 64,64,512,512 1024,1,128,128 1000,16,40,256"
    assert " ".join(map(str, TABLE)) == shapes
    assert forward_flops("lstm", TABLE[1]) == 8_589_934_592
