"""A problem that every contestant is given, and its solution by the reference."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Arrays
from benchmarks.shapes import Shape
from elman.reference import backward, build, forward
from elman.spec import LayerSpec

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Problem:
    """One layer with weights, an input, a state and the loss's gradients, all float32.

    The loss is a weighted sum of the outputs and the final state, so its gradients of them are
    the weights of that sum.
    """

    spec: LayerSpec
    shape: Shape
    weights: dict[str, Array]  # by the names of spec.parameter_shapes
    x: Array  # (T, B, D)
    state: tuple[Array, ...]  # (B, H) each
    d_outputs: Array  # (T, B, H)
    d_final: tuple[Array, ...]  # (B, H) each
    lengths: Array | None = None  # (B,)

    @property
    def cell(self) -> str:
        return self.spec.cell

    def torch_weights(self) -> dict[str, Array]:
        """The weights under the names of a one-layer module."""
        return {f"{name}_l0": value for name, value in self.weights.items()}

    def solve(self, *, training: bool, **options: Any) -> Arrays:
        """Outputs and final state, and for ``training`` all gradients, in float64."""
        weights = {name: value.astype(np.float64) for name, value in self.weights.items()}
        options = {"lengths": self.lengths} | options
        trace = forward(build(self.spec, weights), self.x, self.state, **options)
        found = {"outputs": trace.outputs, **named("final", self.spec, trace.final)}
        if training:
            gradients = backward(trace, self.d_outputs, d_final=self.d_final)
            found |= {"d x": gradients.x, **named("d", self.spec, gradients.state0)}
            found |= {f"d {name}": value for name, value in gradients.parameters.items()}
        return found

    @cached_property
    def forward_solution(self) -> Arrays:
        return self.solve(training=False)

    @cached_property
    def training_solution(self) -> Arrays:
        return self.solve(training=True)


def named(prefix: str, spec: LayerSpec, states: tuple[Any, ...]) -> dict[str, Any]:
    """``final h``, ``final c`` and so on."""
    return {f"{prefix} {name}": s for name, s in zip(spec.state_sizes, states, strict=True)}


@lru_cache(maxsize=4)
def draw(
    cell: str, shape: Shape, *, ragged: bool = False, layer_norm: bool = False, seed: int = 1
) -> Problem:
    """Weights as PyTorch draws them, biases and state away from zero."""
    rng = np.random.default_rng(seed)
    spec = LayerSpec(cell, shape.inputs, shape.hidden, layer_norm=layer_norm)
    spread = shape.hidden**-0.5

    def normal(*size: int) -> Array:
        return rng.standard_normal(size, dtype=np.float32)

    def weight(name: str, size: tuple[int, ...]) -> Array:
        # With gains near 1 a random layer is chaotic over this many timesteps: rounding grows until
        # two right answers differ by 1e-2. Half of that is stable, and costs the same time.
        gain = 0.5 if name.startswith("norm_") and not name.endswith("bias") else 0.0
        return (gain + rng.uniform(-spread, spread, size)).astype(np.float32)

    weights = {name: weight(name, size) for name, size in spec.parameter_shapes.items()}
    rows = (shape.batch, shape.hidden)
    states = len(spec.state_sizes)
    lengths = None
    if ragged:
        lengths = rng.integers(1, shape.steps + 1, shape.batch)
        lengths[shape.batch // 3] = shape.steps
    return Problem(
        spec,
        shape,
        weights,
        normal(shape.steps, shape.batch, shape.inputs),
        tuple(0.5 * normal(*rows) for _ in range(states)),
        normal(shape.steps, *rows),
        tuple(normal(*rows) for _ in range(states)),
        lengths,
    )
