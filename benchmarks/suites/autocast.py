"""Training under bfloat16 autocast, beside elman's float32 and torch.nn's bfloat16."""

from collections.abc import Iterator
from functools import partial

import torch

from benchmarks import elman_peer, torch_peer
from benchmarks.measure import compare
from benchmarks.problem import draw
from benchmarks.record import Row
from benchmarks.shapes import LARGE, LONG, MIDDLE, training_flops
from benchmarks.suites import Settings
from elman.spec import CELLS

SECONDS = 3.0
# bfloat16 keeps 8 bits, 4e-3 a rounding, and roundings add up in sums over time. torch.nn rounds
# the state at every timestep too, and was seen to be wrong by 9.6e-2 of the largest value (RNN,
# weight_hh, T = 1000); elman is allowed half of that.
OURS, THEIRS = 5e-2, 0.15
autocast = partial(torch.autocast, "cpu", torch.bfloat16)


def rows(settings: Settings) -> Iterator[Row]:
    for shape in settings.shapes(MIDDLE, LARGE, LONG):
        for cell in CELLS:
            problem = draw(cell, shape)
            ours, theirs = elman_peer.layer(problem), torch_peer.layer(problem)
            contestants = [
                torch_peer.training(
                    "elman bfloat16", problem, ours, context=autocast, tolerance=OURS
                ),
                torch_peer.training("elman float32", problem, ours),
                torch_peer.training(
                    "torch.nn bfloat16", problem, theirs, context=autocast, tolerance=THEIRS
                ),
            ]
            flops = training_flops(cell, shape)
            yield compare(cell, str(shape), contestants, settings.seconds(SECONDS), flops=flops)
