"""Weights as the narrow formats keep them, in NumPy: what they are worth after rounding."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def rounded(weight: Array, weights: str) -> Array:
    """``weight`` ``(rows, columns)``, float32, as the format ``weights`` keeps it."""
    if weights == "bfloat16":
        return bfloat16(weight)
    if weights == "int8":
        codes, step = int8(weight)
        return codes.astype(np.float32) * step
    return weight


def bfloat16(weight: Array) -> Array:
    """Rounded to the 8 bits of a bfloat16, to nearest, ties to even; NaN stays."""
    bits = weight.astype(np.float32).view(np.uint32)
    upper = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(weight), weight, (upper << 16).astype(np.uint32).view(np.float32))


def int8(weight: Array) -> tuple[Array, Array]:
    """Codes from -127 to 127, and the step of each row ``(rows, 1)``: weight = code * step."""
    step = np.abs(weight).max(axis=1, keepdims=True) / np.float32(127)
    codes = np.rint(weight / np.where(step > 0, step, 1)).astype(np.int8)
    return codes, step.astype(np.float32)
