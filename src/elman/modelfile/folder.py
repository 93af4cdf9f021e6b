"""A model folder: read and write, no pickle. The format itself is the page ``docs/format.md``.

What :func:`read` accepts and what :func:`write` produces are checked by the same functions, so a
folder that was written can be read. A folder from elsewhere is treated as hostile.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save as serialise

from elman.errors import ModelError, UsageError
from elman.storage import parse_json, previous, read_file, shown, storage, write_folder

VERSION = 1
CONFIG, TENSORS, TOKENIZER, README = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "README.md",
)
LIMITS = {CONFIG: 1 << 20, TENSORS: 8 << 30, TOKENIZER: 64 << 20, README: 1 << 20}  # bytes
HEADER_LIMIT = 1 << 20  # bytes of JSON at the start of model.safetensors
MOST_DIMENSIONS = 8
DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
}

_TASK = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NAME = re.compile(r"(?=.{1,200}\Z)\w+(\.\w+)*", re.ASCII)

Tensors = dict[str, NDArray[Any]]

# The library declares no types here.
_deserialise: Callable[[bytes], list[tuple[str, dict[str, Any]]]] = safetensors.deserialize


class Shaped(Protocol):
    """Anything with a shape: a NumPy array or a PyTorch tensor."""

    @property
    def shape(self) -> Sequence[int]:
        """The size along each dimension."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """The content of a model folder.

    ``tensors`` are float64, float32 or float16 arrays by parameter name, ``tokenizer`` is ``None``
    where the folder has none, ``readme`` is empty where it has none.
    """

    task: str
    spec: dict[str, Any]
    tensors: Tensors
    tokenizer: dict[str, Any] | None
    readme: str


def write(
    folder: str | Path,
    *,
    task: str,
    spec: dict[str, Any],
    tensors: Mapping[str, NDArray[Any]],
    tokenizer: dict[str, Any] | None,
    readme: str,
) -> None:
    """Write a model folder, atomically: at any moment there is the old one or the new one.

    Raises :class:`~elman.errors.ModelError` when the model breaks a rule of the format (a weight
    that is not finite, say), :class:`~elman.errors.UsageError` when ``folder`` holds anything but
    a model, and :class:`~elman.errors.StorageError` when the disk refuses.
    """
    folder = Path(os.path.realpath(folder))
    _check_task(task)
    for name, array in tensors.items():
        _check_tensor(name, _code(array.dtype), array.shape)
        _check_finite(name, array)
    config = {"format": "elman", "version": VERSION, "task": task, "spec": spec}
    files = {
        CONFIG: _dump(CONFIG, config),
        TENSORS: serialise({name: np.asarray(array, order="C") for name, array in tensors.items()}),
        README: readme.encode(),
    }
    if tokenizer is not None:
        files[TOKENIZER] = _dump(TOKENIZER, tokenizer)
    for name, data in files.items():
        if len(data) > LIMITS[name]:
            raise ModelError("save", f"{name} holds {len(data)} bytes, at most {LIMITS[name]} fit")
    with storage("save", folder):
        _check_replaceable(folder)
        write_folder(folder, files)


def read(folder: str | Path) -> ModelFolder:
    """Read a model folder, trusting nothing in it.

    Raises :class:`~elman.errors.ModelError` when it is not a sound model folder and
    :class:`~elman.errors.StorageError` when the disk refuses.
    """
    folder = Path(folder)
    with storage("model", folder):
        if not folder.exists() and previous(folder).is_dir():
            folder = previous(folder)  # A write was killed between its two renames.
        if not folder.is_dir():
            found = "found a file" if folder.exists() else "there is none"
            raise ModelError(
                "model", f"{shown(folder)} must be a model folder, {found}; check the path"
            )
        task, spec = _read_config(folder)
        tensors = _parse_tensors(folder / TENSORS, _read_bytes(folder, TENSORS))
        tokenizer = None
        if os.path.lexists(folder / TOKENIZER):
            tokenizer = _read_object(folder, TOKENIZER)
        return ModelFolder(task, spec, tensors, tokenizer, _read_readme(folder))


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


def _dump(name: str, value: dict[str, Any]) -> bytes:
    try:
        data = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        parse_json(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError("save", f"{name} must be strict JSON: {shown(error)}") from error
    return data


def _check_replaceable(folder: Path) -> None:
    """Writing replaces the whole folder, so it must hold nothing that is not a model's."""
    if not folder.exists():
        return
    others = sorted(set(os.listdir(folder)) - set(LIMITS))
    if others:
        raise UsageError(
            "save",
            f"a model folder is replaced whole, but {shown(folder)} also holds "
            f"{shown(others[0], 80)}; choose a new folder",
        )


def _check_task(task: object) -> None:
    if not (isinstance(task, str) and _TASK.fullmatch(task)):
        raise ModelError(
            "model", f"task must be a name in small letters, found {shown(repr(task), 80)}"
        )


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
    if not np.isfinite(array).all():
        raise ModelError("model", f"tensor {name} must be finite, found NaN or infinity")


def _code(dtype: np.dtype[Any]) -> str:
    """The format's name of a NumPy type, or NumPy's own where the format has none."""
    little = dtype.newbyteorder("<")
    return next((code for code, held in DTYPES.items() if held == little), dtype.name)


def _read_config(folder: Path) -> tuple[str, dict[str, Any]]:
    if not os.path.lexists(folder / CONFIG):
        raise ModelError(
            "model",
            f"{shown(folder)} is not a model folder: {CONFIG} is missing; "
            "give a model folder, such as best/ in a run folder",
        )
    config = _read_object(folder, CONFIG)
    if config.get("format") != "elman":
        raise ModelError(
            "model",
            f'{shown(folder / CONFIG)} must have "format": "elman"; '
            "the folder belongs to another program",
        )
    version = config.get("version")
    if type(version) is not int or version != VERSION:
        raise ModelError(
            "model",
            f"{shown(folder / CONFIG)} must have version {VERSION}, found "
            f"{shown(repr(version), 40)}; use the elman that wrote it",
        )
    odd = sorted(set(config) ^ {"format", "version", "task", "spec"})
    if odd:
        raise ModelError(
            "model",
            f"{shown(folder / CONFIG)} must have the keys format, version, task, spec and no "
            f"other; check {shown(repr(odd[0]), 80)}",
        )
    _check_task(config["task"])
    if not isinstance(config["spec"], dict):
        raise ModelError("model", f"{shown(folder / CONFIG)}: spec must be an object")
    return config["task"], config["spec"]


def _read_bytes(folder: Path, name: str) -> bytes:
    try:
        return read_file(folder / name, LIMITS[name])
    except (FileNotFoundError, IsADirectoryError):
        raise ModelError(
            "model", f"{shown(folder)} must hold the file {name}, found none; copy it again"
        ) from None
    except ValueError as error:
        raise ModelError("model", f"{shown(folder)}: {shown(error)}") from None


def _read_object(folder: Path, name: str) -> dict[str, Any]:
    data = _read_bytes(folder, name)
    try:
        value = parse_json(data)
    except ValueError as error:
        raise ModelError("model", f"{shown(folder / name)}: {shown(error)}") from None
    if not isinstance(value, dict):
        raise ModelError("model", f"{shown(folder / name)} must hold one JSON object")
    return value


def _read_readme(folder: Path) -> str:
    if not os.path.lexists(folder / README):
        return ""
    try:
        return _read_bytes(folder, README).decode()
    except UnicodeError:
        raise ModelError("model", f"{shown(folder / README)} is not Unicode text") from None


def _parse_tensors(path: Path, data: bytes) -> Tensors:
    try:
        size = int.from_bytes(data[:8], "little")
        if size > HEADER_LIMIT:
            raise ValueError(f"the header holds {size} bytes, at most {HEADER_LIMIT} are accepted")
        parse_json(data[8 : 8 + size])  # The library would let the last of two equal keys win.
        entries = _deserialise(data)
    except (safetensors.SafetensorError, ValueError) as error:
        raise ModelError("model", f"{shown(path)}: {shown(error)}; copy the model again") from None
    return {name: _parse_tensor(name, entry) for name, entry in entries}


def _parse_tensor(name: str, entry: dict[str, Any]) -> NDArray[Any]:
    dtype, shape = entry["dtype"], entry["shape"]
    _check_tensor(name, dtype, shape)
    array = np.frombuffer(entry["data"], DTYPES[dtype]).reshape(shape)
    _check_finite(name, array)
    return array
