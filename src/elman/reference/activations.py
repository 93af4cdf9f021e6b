"""The nonlinear functions of the cells; each derivative is written in terms of the output."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.spec import LAYER_NORM_EPS

Array = NDArray[np.float64]


def sigmoid(v: Array) -> Array:
    """``1 / (1 + exp(-v))``, any shape; never overflows, since only ``exp(-|v|)`` is taken."""
    e = np.exp(-np.abs(v))
    return np.where(v >= 0, 1.0, e) / (1.0 + e)


def sigmoid_slope(y: Array) -> Array:
    """``dy/dv`` of ``y = sigmoid(v)``."""
    return y * (1.0 - y)


def tanh(v: Array) -> Array:
    """The hyperbolic tangent, any shape."""
    return np.tanh(v)


def tanh_slope(y: Array) -> Array:
    """``dy/dv`` of ``y = tanh(v)``."""
    return 1.0 - y * y


def relu(v: Array) -> Array:
    """``max(v, 0)``, any shape."""
    return np.maximum(v, 0.0)


def relu_slope(y: Array) -> Array:
    """``dy/dv`` of ``y = relu(v)``; 0 at ``v = 0``, as PyTorch has it."""
    return np.where(y > 0.0, 1.0, 0.0)


class NormSaved(NamedTuple):
    """What :func:`layer_norm_back` needs of the forward pass."""

    standard: Array  # (..., N), mean 0 and variance 1 over N
    deviation: Array  # (..., 1)


def layer_norm(v: Array, gain: Array) -> tuple[Array, NormSaved]:
    """Layer normalisation without shift (Ba et al. 2016).

    ``v`` is ``(..., N)`` and is normalised over its last axis; ``gain`` is ``(N,)``.
    """
    centred = v - v.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + LAYER_NORM_EPS)
    standard = centred / deviation
    return gain * standard, NormSaved(standard, deviation)


def layer_norm_back(d: Array, saved: NormSaved, gain: Array) -> tuple[Array, Array]:
    """Gradients of ``v`` ``(..., N)`` and of ``gain`` ``(N,)`` from ``d``, that of the result."""
    standard, deviation = saved
    d_gain = sum_rows(d * standard)
    d_standard = d * gain
    # The mean and the deviation move with v: take out what they absorb of the gradient.
    by_mean = d_standard.mean(axis=-1, keepdims=True)
    by_deviation = standard * (d_standard * standard).mean(axis=-1, keepdims=True)
    return (d_standard - by_mean - by_deviation) / deviation, d_gain


def sum_rows(v: Array) -> Array:
    """``(..., N)`` summed over all but the last axis: a gradient shared by all rows."""
    total: Array = v.reshape(-1, v.shape[-1]).sum(axis=0)
    return total
