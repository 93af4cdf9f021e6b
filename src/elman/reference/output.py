"""The output layer ``y = W_hy h + b_y``, and softmax cross-entropy with its gradient."""

import numpy as np
from numpy.typing import ArrayLike

from elman.errors import UsageError, check_shape
from elman.reference.activations import Array, sum_rows
from elman.reference.cell import outer_sum


class Linear:
    """``y = W h + b``: ``weight`` ``(V, H)`` and ``bias`` ``(V,)``.

    Raises :class:`~elman.errors.UsageError` when the two shapes do not go together.
    """

    def __init__(self, weight: ArrayLike, bias: ArrayLike) -> None:
        weight, bias = np.asarray(weight, dtype=np.float64), np.asarray(bias, dtype=np.float64)
        check_shape("Linear", "weight", weight, ("V", "H"))
        check_shape("Linear", "bias", bias, (len(weight),))
        self.parameters: dict[str, Array] = {"weight": weight, "bias": bias}

    def forward(self, h: Array) -> Array:
        """``h`` ``(..., H)`` to ``y`` ``(..., V)``."""
        y: Array = h @ self.parameters["weight"].T + self.parameters["bias"]
        return y

    def backward(self, d_y: Array, h: Array) -> tuple[Array, dict[str, Array]]:
        """The gradients of ``h`` and of the parameters, from that of ``y`` ``(..., V)``."""
        gradients = {"weight": outer_sum(d_y, h), "bias": sum_rows(d_y)}
        return d_y @ self.parameters["weight"], gradients


def softmax(y: Array) -> Array:
    """Probabilities ``(..., V)`` that sum to 1 over the last axis; never overflows."""
    e = np.exp(y - y.max(axis=-1, keepdims=True))
    probabilities: Array = e / e.sum(axis=-1, keepdims=True)
    return probabilities


def cross_entropy(y: Array, targets: ArrayLike) -> tuple[float, Array]:
    """Softmax cross-entropy in nats, the mean over the given targets, and its gradient.

    ``y`` ``(..., V)`` are the scores, ``targets`` ``(...)`` the right indices in 0..V-1; a negative
    one means that no target is given there. Returns the loss and its gradient of ``y``, which is
    ``(softmax(y) - onehot(target)) / (number of given targets)``.

    Raises :class:`~elman.errors.UsageError` for a target beyond ``V - 1``, or when none is given.
    """
    targets = np.asarray(targets)
    check_shape("cross_entropy", "targets", targets, y.shape[:-1])
    if not np.issubdtype(targets.dtype, np.integer):
        raise UsageError("cross_entropy", f"targets must be integers, found {targets.dtype}")
    classes = y.shape[-1]
    given = targets >= 0
    if not given.any():
        raise UsageError("cross_entropy", "targets must hold at least one given, found none")
    if targets.max() >= classes:
        rule = f"targets must be at most V-1={classes - 1}"
        raise UsageError("cross_entropy", f"{rule}, found {targets.max()}")
    right = np.where(given, targets, 0)[..., None]  # (..., 1)
    shifted = y - y.max(axis=-1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    nats = log_total - np.take_along_axis(shifted, right, axis=-1)
    loss = float(nats[given].mean())
    d_y = softmax(y) - (right == np.arange(classes))
    return loss, np.where(given[..., None], d_y, 0.0) / given.sum()
