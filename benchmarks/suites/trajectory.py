"""All states at all timesteps, beside the plain forward pass."""

from collections.abc import Iterator

import torch
from torch import nn

from benchmarks import elman_peer, torch_peer
from benchmarks.measure import Arrays, Contestant, compare
from benchmarks.problem import Problem, draw, named
from benchmarks.record import Row
from benchmarks.shapes import forward_flops
from benchmarks.suites import Settings
from elman.reference import build, forward
from elman.spec import CELLS

SECONDS = 3.0


def trajectory(problem: Problem, layer: nn.Module) -> Contestant:
    x, _, state = torch_peer.hand_in(problem)

    def run() -> torch.Tensor | tuple[torch.Tensor, ...]:
        with torch.no_grad():
            every = layer.trajectory(x, state)
        return every

    def result() -> Arrays:
        return named("every", problem.spec, torch_peer.arrays(run()))

    def expected() -> Arrays:
        trace = forward(build(problem.spec, problem.weights), problem.x, problem.state)
        return named("every", problem.spec, trace.states)

    return Contestant("elman trajectory", run, result, expected)


def rows(settings: Settings) -> Iterator[Row]:
    for shape in settings.shapes():
        for cell in CELLS:
            problem = draw(cell, shape)
            layer = elman_peer.layer(problem)
            plain = torch_peer.inference("elman forward", problem, layer)
            both, flops = [trajectory(problem, layer), plain], forward_flops(cell, shape)
            yield compare(cell, str(shape), both, settings.seconds(SECONDS), flops=flops)
