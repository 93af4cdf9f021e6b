"""A model folder: read and write, no pickle. The format itself is the page ``docs/format.md``.

What :func:`read` accepts and what :func:`write` produces are checked by the same functions, so a
folder that was written can be read. A folder from elsewhere is treated as hostile.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ModelError, UsageError
from elman.modelfile.narrow import Narrow
from elman.modelfile.tensors import Tensors, pack, parse
from elman.storage import parse_json, previous, read_file, shown, storage, write_folder

VERSION = 1
CONFIG, TENSORS, TOKENIZER, README = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "README.md",
)
LIMITS = {CONFIG: 1 << 20, TENSORS: 8 << 30, TOKENIZER: 5 << 20, README: 1 << 20}  # bytes
VALUES = 250_000  # in a JSON file. With these, none takes more than 64 MiB beyond its size.

_TASK = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """The content of a model folder.

    ``tensors`` are float64, float32 or float16 arrays, or :class:`~elman.modelfile.narrow.Narrow`
    ones, by parameter name; ``tokenizer`` is ``None`` where the folder has none, ``readme`` is
    empty where it has none.
    """

    task: str
    spec: dict[str, Any]
    tensors: Tensors
    tokenizer: dict[str, Any] | None
    readme: str

    @property
    def weights(self) -> str:
        """How the folder keeps its weights: ``float64`` where all are, and no narrower."""
        narrow = {each.weights for each in self.tensors.values() if isinstance(each, Narrow)}
        if narrow:
            return "int8" if "int8" in narrow else "bfloat16"
        types = {each.dtype for each in self.tensors.values() if not isinstance(each, Narrow)}
        return "float64" if types == {np.dtype("float64")} else "float32"

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Every tensor as an array; narrow ones take four or two times their room."""
        return {
            name: each.widen() if isinstance(each, Narrow) else each
            for name, each in self.tensors.items()
        }


def write(
    folder: str | Path,
    *,
    task: str,
    spec: dict[str, Any],
    tensors: Mapping[str, NDArray[Any]],
    tokenizer: dict[str, Any] | None,
    readme: str,
    weights: str = "float32",
) -> None:
    """Write a model folder, atomically: at any moment there is the old one or the new one.

    ``weights``: ``"bfloat16"`` or ``"int8"`` rounds the matrices of weights, but no embedding and
    no bias; otherwise each tensor keeps its type.

    Raises :class:`~elman.errors.ModelError` when the model breaks a rule of the format (a weight
    that is not finite, say), :class:`~elman.errors.UsageError` when ``folder`` holds anything but
    a model, and :class:`~elman.errors.StorageError` when the disk refuses.
    """
    folder = Path(os.path.realpath(folder))
    _check_task(task)
    config = {"format": "elman", "version": VERSION, "task": task, "spec": spec}
    files = {
        CONFIG: _dump(CONFIG, config),
        TENSORS: pack(tensors, weights),
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
        try:
            tensors = parse(_read_bytes(folder, TENSORS))
        except ValueError as error:
            where = shown(folder / TENSORS)
            raise ModelError("model", f"{where}: {shown(error)}; copy the model again") from None
        tokenizer = None
        if os.path.lexists(folder / TOKENIZER):
            tokenizer = _read_object(folder, TOKENIZER)
        return ModelFolder(task, spec, tensors, tokenizer, _read_readme(folder))


def _dump(name: str, value: dict[str, Any]) -> bytes:
    try:
        indent = None if name == TOKENIZER else 2  # a word a line is half as long again
        text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
        data = text.encode() + b"\n"
        parse_json(data, VALUES)
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
        value = parse_json(data, VALUES)
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
