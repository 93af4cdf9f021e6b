"""``model.safetensors``: names, types, shapes and numbers, checked on both ways.

The file is not copied: arrays are views of its bytes.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import TensorSpec, serialize

from elman.errors import ModelError
from elman.modelfile.narrow import NARROW, Narrow, is_narrowed, narrow
from elman.storage import parse_json, shown

HEADER_LIMIT = 1 << 20  # bytes of JSON at the start of the file
MOST_DIMENSIONS = 8
PART = 1 << 20  # numbers looked at together
DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "I8": np.dtype("i1"),
}
SCALE = ".scale"  # ends the name of what the codes of an I8 tensor count in, one number a row
_LIBRARY = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I8": "int8"}

_NAME = re.compile(r"(?=.{1,200}\Z)\w+(\.\w+)*", re.ASCII)

Tensors = dict[str, NDArray[Any] | Narrow]


class Shaped(Protocol):
    """Anything with a shape: a NumPy array or a PyTorch tensor."""

    @property
    def shape(self) -> Sequence[int]:
        """The size along each dimension."""


def check_tensors(found: Mapping[str, Shaped], expected: Mapping[str, Sequence[int]]) -> None:
    """Raise :class:`~elman.errors.ModelError` unless names and shapes are those ``expected``.

    The message names the first tensor that is missing, mis-shaped or not expected.
    """
    for name, shape in expected.items():
        if name not in found:
            raise ModelError("model", f"tensor {name} {tuple(shape)} is missing; {_OTHER_SPEC}")
        if tuple(found[name].shape) != tuple(shape):
            raise ModelError(
                "model",
                f"tensor {name} must have shape {tuple(shape)}, "
                f"found {tuple(found[name].shape)}; {_OTHER_SPEC}",
            )
    for name in found:
        if name not in expected:
            raise ModelError("model", f"tensor {shown(name)} is not expected; {_OTHER_SPEC}")


_OTHER_SPEC = "the weights belong to another spec than the one in config.json"


def pack(tensors: Mapping[str, NDArray[Any]], weights: str = "float32") -> bytes:
    """The file's bytes. ModelError for what the format does not hold."""
    stored: dict[str, tuple[str, NDArray[Any]]] = {}
    for name, array in tensors.items():
        _check_tensor(name, _code(array.dtype), array.shape)
        _check_finite(name, array)
        if weights not in NARROW or not is_narrowed(name, array.shape):
            stored[name] = _code(array.dtype), array
            continue
        held = narrow(array, weights)
        if held.scale is None:
            stored[name] = "BF16", held.codes
        else:
            stored[name] = "I8", held.codes
            stored[name + SCALE] = "F32", held.scale
    # They must outlive the call, which is given addresses.
    kept = {n: np.asarray(a, DTYPES[code], order="C") for n, (code, a) in stored.items()}
    entries = {
        name: TensorSpec(
            dtype=_LIBRARY[stored[name][0]],
            shape=list(array.shape),
            data_ptr=array.ctypes.data,
            data_len=array.nbytes,
        )
        for name, array in kept.items()
    }
    return bytes(serialize(entries))


def parse(data: bytes) -> Tensors:
    """The tensors in a file's bytes. ValueError or ModelError for what is not sound."""
    size = int.from_bytes(data[:8], "little")
    if size > HEADER_LIMIT:
        raise ValueError(f"the header holds {size} bytes, at most {HEADER_LIMIT} are accepted")
    if len(data) < 8 + size:
        raise ValueError("the file ends within its header")
    header = parse_json(data[8 : 8 + size])
    if not isinstance(header, dict):
        raise ValueError("the header must be a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(type(v) is str for v in metadata.values()):
        raise ValueError("the metadata must be an object of strings")
    places = {name: _place(name, entry) for name, entry in header.items()}
    _check_places(list(places.values()), len(data) - 8 - size)
    arrays = {
        name: np.frombuffer(data, DTYPES[header[name]["dtype"]], prod(shape), 8 + size + begin)
        for name, (begin, _) in places.items()
        for shape in (header[name]["shape"],)
    }
    for name, array in arrays.items():
        arrays[name] = array.reshape(header[name]["shape"])
    return _joined(arrays, {name: entry["dtype"] for name, entry in header.items()})


def _place(name: str, entry: Any) -> tuple[int, int]:
    """Where a tensor begins and ends."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {shown(repr(name), 80)} must have dtype, shape and data_offsets")
    shape, offsets = entry["shape"], entry["data_offsets"]
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or not all(type(n) is int and n >= 0 for n in numbers):
            raise ValueError(f"tensor {shown(repr(name), 80)} must have whole numbers as its sizes")
    _check_tensor(name, str(entry["dtype"]), shape)
    bytes_held = prod(shape) * DTYPES[entry["dtype"]].itemsize
    if len(offsets) != 2 or offsets[1] - offsets[0] != bytes_held:
        found = shown(offsets, 60)
        raise ValueError(f"tensor {name} must have {bytes_held} bytes, found offsets {found}")
    return offsets[0], offsets[1]


def _check_places(places: list[tuple[int, int]], size: int) -> None:
    """Tensors lie one after the other and leave no byte out."""
    places.sort()
    ends = [0, *(end for _, end in places)]
    begins = [*(begin for begin, _ in places), size]
    if ends != begins or any(left > right for left, right in pairwise(ends)):
        raise ValueError("tensors must fill the file without gaps and without overlapping")


def _joined(arrays: dict[str, NDArray[Any]], codes: dict[str, str]) -> Tensors:
    """Arrays, and codes with their scales."""
    joined: Tensors = {}
    scales = {name + SCALE for name in codes if codes[name] == "I8"}
    for name, array in arrays.items():
        if name in scales:
            continue
        if codes[name] == "I8":
            scale = arrays.get(name + SCALE)
            if array.ndim != 2 or scale is None or codes[name + SCALE] != "F32":
                raise ValueError(f"tensor {name} must be a matrix with an F32 tensor {SCALE[1:]}")
            if scale.shape != array.shape[:1] or not (scale >= 0).all():
                raise ValueError(f"tensor {name}{SCALE} must have one number of 0 or more a row")
            _check_finite(name + SCALE, scale)
            joined[name] = Narrow(array, scale)
        elif codes[name] == "BF16":
            if array.ndim != 2:
                raise ValueError(f"tensor {name} must be a matrix to be BF16")
            _check_exponents(name, array)
            joined[name] = Narrow(array)
        else:
            _check_finite(name, array)
            joined[name] = array
    return joined


def _check_exponents(name: str, codes: NDArray[Any]) -> None:
    """A bfloat16 whose exponent is all ones is no finite number."""
    flat = codes.reshape(-1)
    for first in range(0, flat.size, PART):
        if ((flat[first : first + PART] & 0x7F80) == 0x7F80).any():
            raise ModelError("model", f"tensor {name} must be finite, found NaN or infinity")


def _check_tensor(name: str, dtype: str, shape: Sequence[int]) -> None:
    """``dtype`` is a key of ``DTYPES``, or anything else when the format does not have it."""
    rules = (
        (_NAME.fullmatch(name), "must have a name of words joined by dots", "this one"),
        (dtype in DTYPES, f"must be one of {', '.join(DTYPES)}", dtype),
        (0 not in shape, "must not be empty", f"shape {tuple(shape)}"),
        (len(shape) <= MOST_DIMENSIONS, f"must have at most {MOST_DIMENSIONS} axes", len(shape)),
    )
    for holds, rule, found in rules:
        if not holds:
            message = f"tensor {shown(repr(name), 80)} {rule}, found {shown(found, 80)}"
            raise ModelError("model", message)


def _check_finite(name: str, array: NDArray[Any]) -> None:
    flat = array.reshape(-1)
    parts = range(0, flat.size, PART)
    if not all(np.isfinite(flat[first : first + PART]).all() for first in parts):
        raise ModelError("model", f"tensor {name} must be finite, found NaN or infinity")


def _code(dtype: np.dtype[Any]) -> str:
    """The format's name of a NumPy type, or NumPy's own where the format has none."""
    little = dtype.newbyteorder("<")
    return next((code for code, held in DTYPES.items() if held == little), dtype.name)
