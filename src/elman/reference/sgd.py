"""Plain stochastic gradient descent."""

from collections.abc import Mapping

import numpy as np

from elman.errors import UsageError
from elman.reference.activations import Array


def sgd(parameters: Mapping[str, Array], gradients: Mapping[str, Array], rate: float) -> None:
    """``w -= rate * dL/dw`` for every parameter, in place.

    Raises :class:`~elman.errors.UsageError` unless ``rate`` is a positive number and both name the
    same parameters.
    """
    if not (np.isfinite(rate) and rate > 0):
        raise UsageError("sgd", f"rate must be a positive number, found {rate}")
    if set(parameters) != set(gradients):
        odd = ", ".join(sorted(set(parameters) ^ set(gradients)))
        raise UsageError("sgd", f"gradients must name the parameters, found in only one: {odd}")
    for name, weight in parameters.items():
        weight -= rate * gradients[name]
