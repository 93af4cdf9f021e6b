"""Backward through time against central differences of the forward pass."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from elman.reference import backward, forward

Array = NDArray[np.float64]
STEP = 2e-6


def loss(problem: SimpleNamespace) -> float:
    """A weighted sum of everything that forward returns."""
    trace = forward(problem.cell, problem.x, problem.state0, **problem.options)
    total = float((trace.outputs * problem.d_outputs).sum())
    total += sum(float((s * d).sum()) for s, d in zip(trace.states, problem.d_states, strict=True))
    return total + sum(
        float((s * d).sum()) for s, d in zip(trace.final, problem.d_final, strict=True)
    )


def central_differences(f: Callable[[], float], array: Array) -> Array:
    """The gradient of ``f()`` of ``array``, which is moved in place and put back."""
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        value = array[index]
        array[index] = value + STEP
        above = f()
        array[index] = value - STEP
        gradient[index] = (above - f()) / (2 * STEP)
        array[index] = value
    return gradient


def differentiated(problem: SimpleNamespace) -> Iterator[tuple[str, Array, Array]]:
    """Name, array and analytic gradient of all that the loss depends on."""
    trace = forward(problem.cell, problem.x, problem.state0, **problem.options)
    found = backward(trace, problem.d_outputs, problem.d_states, problem.d_final)
    yield "x", problem.x, found.x
    names = problem.spec.state_sizes
    if problem.state0 is not None:
        yield from zip((f"state0 {n}" for n in names), problem.state0, found.state0, strict=True)
    if "initial" in problem.options:
        initial = problem.options["initial"]
        yield from zip((f"initial {n}" for n in names), initial, found.initial, strict=True)
    assert set(found.parameters) == set(problem.spec.parameter_shapes)
    for name, gradient in found.parameters.items():
        yield name, problem.cell.parameters[name], gradient


def test_gradients_are_those_of_central_differences(problem: SimpleNamespace) -> None:
    for name, array, analytic in differentiated(problem):
        numeric = central_differences(lambda: loss(problem), array)
        scale = max(float(np.abs(numeric).max()), 1e-2)
        np.testing.assert_allclose(analytic, numeric, rtol=0, atol=1e-6 * scale, err_msg=name)
