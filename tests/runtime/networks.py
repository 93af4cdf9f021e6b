"""Stacks of layers with dense weights, and what the reference says of them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elman.core import native
from elman.reference import build
from elman.runtime.rounding import rounded
from elman.spec import CELLS, LayerSpec, suffix

OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "elman": ("elman", {}),
    "elman-relu": ("elman", {"nonlinearity": "relu"}),
    "elman-order3": ("elman", {"order": 3}),
    "elman-order2-norm": ("elman", {"order": 2, "layer_norm": True}),
    "gru": ("gru", {}),
    "gru-norm": ("gru", {"layer_norm": True}),
    "gru-no_bias": ("gru", {"bias": False}),
    "gru-zoneout": ("gru", {"zoneout": 0.2}),
    "lstm": ("lstm", {}),
    "lstm-peephole": ("lstm", {"peephole": True}),
    "lstm-norm": ("lstm", {"layer_norm": True}),
    "lstm-norm-no_bias": ("lstm", {"layer_norm": True, "bias": False}),
    "lstm-zoneout": ("lstm", {"zoneout": (0.3, 0.1)}),
    "lstm-projection": ("lstm", {"proj_size": 5}),
    "lstm-learned": ("lstm", {"learn_initial_state": True}),
    "lstm-all": (
        "lstm",
        {
            "peephole": True,
            "layer_norm": True,
            "learn_initial_state": True,
            "zoneout": (0.3, 0.1),
            "proj_size": 17,
        },
    ),
}


def on_tiles(units: int) -> bool:
    """Whether the core keeps bfloat16 weights of a layer on tiles, and so each of them exactly."""
    core = native()
    return core is not None and core.has_tiles() and units >= 64


def nearest_bfloat16(array: np.ndarray) -> np.ndarray:
    """8 significant bits, ties to even; in arithmetic, since a wheel is tested without PyTorch."""
    mantissa, exponent = np.frexp(array)
    return np.ldexp(np.round(mantissa * 256), exponent - 8)


@dataclass
class Network:
    """Layers of one kind: arrays for a stream, and the reference's cells over them."""

    cell: str
    options: dict[str, Any]
    inputs: int
    units: int
    layers: int = 1
    seed: int = 3
    arrays: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        given = {k: v for k, v in self.options.items() if k != "zoneout"}
        zoneout = self.options.get("zoneout", 0.0)
        self.keep = zoneout if isinstance(zoneout, tuple) else (zoneout, zoneout)
        self.specs = []
        for layer in range(self.layers):
            size = self.specs[-1].output_size if layer else self.inputs
            spec = LayerSpec(self.cell, size, self.units, **given)
            self.specs.append(spec)
            for name, shape in spec.parameter_shapes.items():
                spread = 1 / np.sqrt(shape[-1]) if name.startswith("weight") else 0.5
                value = spread * rng.standard_normal(shape) + (1.0 if "norm_" in name else 0.0)
                self.arrays[name + suffix(layer)] = value.astype(np.float32)

    def kept(self, weights: str) -> dict[str, Any]:
        """The arrays as the format ``weights`` keeps them."""
        order = self.options.get("order", 1)

        def of(name: str, array: np.ndarray) -> np.ndarray:
            if not name.startswith("weight"):
                return array
            units = len(array) // (1 if "hr" in name else len(CELLS[self.cell].gates))
            if weights == "bfloat16" and on_tiles(units):
                return nearest_bfloat16(array)
            return rounded(array, weights, order if name.startswith("weight_hh") else 1)

        return {name: of(name, array) for name, array in self.arrays.items()}

    @property
    def stream_options(self) -> dict[str, Any]:
        """What ``Stream.from_weights`` takes besides the arrays."""
        return {k: v for k, v in self.options.items() if k != "bias"}

    def states(self, batch: int) -> list[tuple[np.ndarray, ...]]:
        rng = np.random.default_rng(self.seed + 1)
        return [
            tuple(
                rng.uniform(-0.9, 0.9, (batch, size)).astype(np.float32)
                for size in spec.state_sizes.values()
            )
            for spec in self.specs
        ]

    def run(self, xs, states, arrays=None, step=None):
        """Outputs (T, B, H) and final states by the reference, in float64."""
        arrays = arrays or self.arrays
        cells = [
            build(
                spec,
                {n: arrays[n + suffix(i)].astype(np.float64) for n in spec.parameter_shapes},
            )
            for i, spec in enumerate(self.specs)
        ]
        states = [tuple(s.astype(np.float64) for s in layer) for layer in states]
        outputs = []
        for x in xs:
            h = np.asarray(x, dtype=np.float64)
            for i, cell in enumerate(cells):
                new, _ = cell.step(cell.input_part(h)[0], states[i])
                keep = {"h": self.keep[0], "c": self.keep[-1]}
                states[i] = tuple(
                    keep.get(name, 0.0) * old + (1 - keep.get(name, 0.0)) * now
                    for name, old, now in zip(cell.spec.state_sizes, states[i], new, strict=True)
                )
                h = states[i][0]
            outputs.append(h)
        return np.stack(outputs), states
