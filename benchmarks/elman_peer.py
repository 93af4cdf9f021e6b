"""elman's own layers as contestants; the interface is torch.nn's."""

from typing import Any

from torch import nn

from benchmarks.problem import Problem
from benchmarks.torch_peer import load
from elman.nn import GRU, LSTM, RNN

LAYERS = {"lstm": LSTM, "gru": GRU, "elman": RNN}


def layer(problem: Problem, **options: Any) -> nn.Module:
    """The layer of the problem, with its weights."""
    shape, spec = problem.shape, problem.spec
    made = LAYERS[spec.cell](shape.inputs, shape.hidden, layer_norm=spec.layer_norm, **options)
    return load(problem, made)
