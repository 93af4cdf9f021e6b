"""From a specification to a cell."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from elman.reference.activations import Array
from elman.reference.cell import Cell
from elman.reference.elman import Elman
from elman.reference.gru import GRU
from elman.reference.lstm import LSTM
from elman.spec import LayerSpec

_CELLS: dict[str, type[Cell[Any]]] = {cell.kind: cell for cell in (Elman, GRU, LSTM)}


def build(spec: LayerSpec, parameters: Mapping[str, Array]) -> Cell[Any]:
    """The cell that ``spec.cell`` names, with these parameters."""
    return _CELLS[spec.cell](spec, parameters)


def initialise(spec: LayerSpec, rng: np.random.Generator) -> dict[str, Array]:
    """Fresh parameters, drawn as PyTorch does: uniform in ``±1/sqrt(H)``.

    Layer normalisation starts as the identity (gain 1, shift 0) and the initial state at 0.
    """
    bound = 1.0 / np.sqrt(spec.hidden_size)
    parameters: dict[str, Array] = {}
    for name, shape in spec.parameter_shapes.items():
        if name == "norm_c_bias" or name.startswith("initial_"):
            parameters[name] = np.zeros(shape)
        elif name.startswith("norm_"):
            parameters[name] = np.ones(shape)
        else:
            parameters[name] = rng.uniform(-bound, bound, shape)
    return parameters
