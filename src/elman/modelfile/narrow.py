"""Weights of fewer than 32 bits: bfloat16, and int8 with one scale a row."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
NARROW = ("bfloat16", "int8")


@dataclass(frozen=True, slots=True, eq=False)
class Narrow:
    """A matrix as the file holds it: ``codes`` uint16, or int8 and a ``scale`` (rows)."""

    codes: Array
    scale: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the matrix."""
        return self.codes.shape

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return self.codes.size

    @property
    def weights(self) -> str:
        """The name of the format."""
        return "bfloat16" if self.scale is None else "int8"

    def widen(self) -> Array:
        """The matrix in float32, exactly what the codes say."""
        if self.scale is None:
            return (self.codes.astype(np.uint32) << 16).view(np.float32)
        return self.codes.astype(np.float32) * self.scale[:, None]


def is_narrowed(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor is kept narrow where weights are: matrices of weights, but no embedding."""
    last = name.rpartition(".")[2]
    return len(shape) == 2 and last.startswith("weight") and name != "embedding.weight"


def narrow(array: Array, weights: str) -> Narrow:
    """``array`` ``(rows, columns)``, finite, rounded to nearest, ties to even."""
    if weights == "int8":
        codes, step = int8(np.asarray(array, np.float32))
        return Narrow(codes, step[:, 0])
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return Narrow(((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16))


def int8(weight: Array) -> tuple[Array, Array]:
    """Codes from -127 to 127, and the step of each row ``(rows, 1)``: weight = code * step."""
    step = np.abs(weight).max(axis=1, keepdims=True) / np.float32(127)
    codes = np.rint(weight / np.where(step > 0, step, 1)).astype(np.int8)
    return codes, step.astype(np.float32)
