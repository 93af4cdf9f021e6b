"""Weights as the narrow formats keep them, in NumPy: what they are worth after rounding."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.modelfile.narrow import int8

Array = NDArray[Any]


def rounded(weight: Array, weights: str, blocks: int = 1) -> Array:
    """``weight`` ``(rows, columns)``, float32, as the format ``weights`` keeps it.

    ``blocks`` of columns belong to as many inputs, and each begins a new pair of bfloat16.
    """
    if weights == "bfloat16":
        return np.hstack([bfloat16(block) for block in np.split(weight, blocks, axis=1)])
    if weights == "int8":
        codes, step = int8(weight)
        return codes.astype(np.float32) * step
    return weight


def bfloat16(weight: Array) -> Array:
    """What 16 bits a weight are worth.

    The even columns are rounded to nearest, ties to even. An odd one is read as 32 bits whose lower
    half is the column before: it is the nearest such number, so that its error is the same, at most
    2^-8 of it. Below 2^-60 it becomes about that, unless the column before is 0.
    """
    bits = weight.astype(np.float32).view(np.uint32)
    upper = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
    odd, below = bits[:, 1::2], upper[:, : bits.shape[1] // 2 * 2 : 2] >> 16
    sign, size = odd & 0x80000000, np.maximum(odd & 0x7FFFFFFF, 0x21800000)
    paired = (sign | (size + 0x8000 - below)) & 0xFFFF0000 | below
    upper[:, 1::2] = np.where(below == 0, upper[:, 1::2], paired)
    return upper.astype(np.uint32).view(np.float32)
