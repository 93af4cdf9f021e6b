"""Bytes that a layer keeps from its forward pass for its backward pass."""

from collections.abc import Iterator

import torch
from torch import nn

from benchmarks import elman_peer, torch_peer
from benchmarks.measure import accept
from benchmarks.problem import Problem, draw
from benchmarks.record import Figure, Row
from benchmarks.suites import Settings
from elman.spec import CELLS


def saved_bytes(problem: Problem, module: nn.Module) -> int:
    """Storage that the graph holds, without the parameters, x and the first state."""
    x, states, state = torch_peer.hand_in(problem, requires_grad=True)
    given = {t.untyped_storage().data_ptr() for t in (x, *states, *module.parameters())}
    held: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in given:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        graph = module(x, state)  # alive until all is counted, so that no address is used twice
    del graph
    return sum(held.values())


def rows(settings: Settings) -> Iterator[Row]:
    for shape in settings.shapes():
        for cell in CELLS:
            problem = draw(cell, shape)
            modules = {"elman": elman_peer.layer(problem), "torch.nn": torch_peer.layer(problem)}
            checked = [torch_peer.training(n, problem, module) for n, module in modules.items()]
            accepted, refused = accept(checked)
            figures = {}
            for name, (each, found) in accepted.items():
                size = saved_bytes(problem, modules[name])
                figures[name] = Figure(size, size, size, 1, found, each.tolerance)
            yield Row(cell, str(shape), figures, refused, unit="byte")
