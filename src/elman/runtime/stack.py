"""From the folder of a stack to its plan."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.modelfile import ModelFolder, check_tensors, stack
from elman.modelfile.stack import TASK as TASK
from elman.runtime.plan import Dense, Plan, Recurrent

Array = NDArray[Any]


def spec_and_plan(held: ModelFolder, weights: str | None) -> tuple[stack.StackSpec, Plan]:
    """What the folder is and its layers; ModelError for what the spec does not ask for."""
    spec = stack.StackSpec.from_json(held.spec)
    check_tensors(held.tensors, spec.tensor_shapes())
    return spec, _plan(spec, held.arrays(), weights or held.weights)


def _plan(spec: stack.StackSpec, tensors: Mapping[str, Array], weights: str) -> Plan:
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
