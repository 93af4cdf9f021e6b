"""From the spec of a stack and its tensors to a plan."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.modelfile import stack
from elman.runtime.plan import Dense, Plan, Recurrent

Array = NDArray[Any]


def stack_plan(spec: stack.StackSpec, tensors: Mapping[str, Array], weights: str) -> Plan:
    """The layers of ``spec`` with ``tensors`` of its names and shapes."""
    dtype = np.dtype("float64" if weights == "float64" else "float32")
    arrays = {name: np.array(array, dtype, order="C") for name, array in tensors.items()}
    embedding = arrays.get("embedding.weight")
    layers: list[Dense | Recurrent] = []
    for number, layer in enumerate(spec.layers):
        start = f"layers.{number}."
        mine = {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}
        if isinstance(layer, stack.Recurrent):
            layers.append(Recurrent(layer.layer, mine, layer.zoneout))
        else:
            if layer.tie:
                assert embedding is not None  # the spec was checked
                mine["weight"] = embedding
            layers.append(Dense(mine))
    return Plan(embedding, tuple(layers), weights)
