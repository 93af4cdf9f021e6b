"""Checkpoints of a training run: atomic, verified, no pickle.

``checkpoints/step-000001234/`` holds ``tensors.safetensors``, ``state.json`` and, written last,
``manifest.json`` with the size and SHA-256 of the other two. A kill or a full disk at any point
leaves the previous checkpoint as it was. The file ``last`` beside ``checkpoints/`` names the
newest. ``state.json`` is Python's JSON: it may hold ``Infinity`` and integers of any size.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as dump_tensors

from elman.errors import ModelError, UsageError
from elman.storage import read_file, shown, storage, write_file, write_folder

TENSORS, STATE, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"
LIMITS = {TENSORS: 64 << 30, STATE: 1 << 30, MANIFEST: 1 << 16}  # bytes

# An interrupted replacement of a checkpoint leaves the old one as ".step-000000007.previous".
_NAME = re.compile(r"step-(\d{9,18})|\.step-(\d{9,18})\.previous")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A verified checkpoint; ``skipped`` says, a line each, which newer ones were damaged."""

    step: int
    tensors: dict[str, torch.Tensor]
    state: dict[str, Any]
    path: Path
    skipped: list[str]


def save(
    folder: str | Path,
    step: int,
    tensors: Mapping[str, torch.Tensor],
    state: dict[str, Any],
    keep: int = 2,
) -> Path:
    """Write ``step-…`` into ``folder`` (the run's ``checkpoints/``) and return its path.

    The newest ``keep`` are kept. Checkpoints of later steps are removed: they belong to a course
    of training that was given up when it was resumed from before them. Raises
    :class:`~elman.errors.StorageError` when the disk refuses; what was there is then still there.
    """
    if step < 0 or keep < 1:
        raise UsageError(
            "checkpoint", f"step must be at least 0 and keep at least 1, found {step} and {keep}"
        )
    folder = Path(folder)
    path = folder / f"step-{step:09d}"
    files = {TENSORS: dump_tensors(_own(tensors)), STATE: _dump(state)}
    files[MANIFEST] = _dump({"step": step, "files": {name: _seal(files[name]) for name in files}})
    with storage("checkpoint", path):
        _remove(folder, ".step-*.partial")
        write_folder(path, files)
        write_file(folder.parent / "last", f"{path.name}\n".encode())
        _prune(folder, step, keep)
    return path


def load_latest(folder: str | Path) -> Checkpoint | None:
    """The newest checkpoint in ``folder`` that is whole, or ``None`` where there is none at all.

    Damaged ones are passed over and listed in ``skipped``. Raises
    :class:`~elman.errors.ModelError` when every one is damaged.
    """
    folder = Path(folder)
    with storage("resume", folder):
        if not folder.exists():
            return None
        candidates = sorted(_candidates(folder), key=lambda path: (_step(path), path.name))[::-1]
    skipped: list[str] = []
    for path in candidates:
        try:
            tensors, state = _load(path)
        except (OSError, ValueError, RecursionError, SafetensorError) as error:
            skipped.append(f"{path.name} is damaged: {_reason(error)}")
        else:
            return Checkpoint(_step(path), tensors, state, path, skipped)
    if skipped:
        raise ModelError(
            "resume",
            f"no checkpoint in {shown(folder)} is whole: {skipped[0]}; start the run again",
        )
    return None


def flatten(tree: Any) -> tuple[dict[str, torch.Tensor], Any]:
    """Split nested dicts, lists and tuples into tensors by name and JSON that mirrors the rest.

    Takes what ``state_dict()`` of modules and optimizers and the states of random generators are
    made of: tensors, ``None``, bool, int, float, str; keys are str or int.
    ``unflatten(*flatten(tree))`` gives the tree back exactly: floats to the last bit, keys with
    their types, tuples as tuples. Raises :class:`~elman.errors.UsageError` for anything else.
    """
    tensors: dict[str, torch.Tensor] = {}

    def encode(value: Any, path: str) -> Any:
        if isinstance(value, torch.Tensor):
            name = f"{len(tensors):04d}{path}"
            tensors[name] = value
            return {"tensor": name}
        if isinstance(value, dict):
            for key in value:
                if type(key) not in (str, int):
                    raise UsageError("checkpoint", f"keys must be str or int, found {key!r}")
            return {"dict": [[key, encode(held, f"{path}/{key}")] for key, held in value.items()]}
        if isinstance(value, list | tuple):
            items = [encode(held, f"{path}/{index}") for index, held in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
        if value is None or type(value) in (bool, int, float, str):
            return value
        raise UsageError("checkpoint", f"{path} must be a tensor or JSON, found {type(value)}")

    return tensors, encode(tree, "")


def unflatten(tensors: Mapping[str, torch.Tensor], tree: Any) -> Any:
    """Put together again what :func:`flatten` split.

    Raises :class:`~elman.errors.ModelError` when the two do not belong together.
    """

    def decode(value: Any) -> Any:
        if isinstance(value, list):
            return [decode(held) for held in value]
        if not isinstance(value, dict):
            return value
        match value:
            case {"tensor": name}:
                return tensors[name]
            case {"dict": pairs}:
                return {key: decode(held) for key, held in pairs}
            case {"tuple": items}:
                return tuple(decode(held) for held in items)
        raise ValueError(value)

    try:
        return decode(tree)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            "resume", f"the state does not fit its tensors: {shown(repr(error), 80)}"
        ) from error


def _own(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies that share no memory (tied weights do, and the format refuses that)."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def _dump(value: dict[str, Any]) -> bytes:
    try:
        return json.dumps(value).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError("checkpoint", f"the state must be JSON: {shown(error)}") from error


def _seal(data: bytes) -> dict[str, Any]:
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _load(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read one checkpoint; ``OSError``, ``ValueError`` and the like mean it is damaged."""
    manifest = json.loads(read_file(path / MANIFEST, LIMITS[MANIFEST]))
    files = {name: read_file(path / name, LIMITS[name]) for name in (TENSORS, STATE)}
    sealed = {"step": _step(path), "files": {name: _seal(files[name]) for name in files}}
    if manifest != sealed:
        raise ValueError(f"its files are not those {MANIFEST} describes")
    state = json.loads(files[STATE])
    if not isinstance(state, dict):
        raise ValueError(f"{STATE} must hold one JSON object")
    return parse_tensors(files[TENSORS]), state


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{Path(error.filename or '').name}: {error.strerror}"
    return shown(error, 120)


def _step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1] or match[2]) if match else -1


def _candidates(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]


def _prune(folder: Path, step: int, keep: int) -> None:
    """Remove what is not among the newest ``keep`` up to ``step``, and what kills left behind."""
    _remove(folder, ".step-*")
    steps = sorted((_step(path) for path in _candidates(folder)), reverse=True)
    kept = [found for found in steps if found <= step][:keep]
    for path in _candidates(folder):
        if _step(path) not in kept:
            shutil.rmtree(path, ignore_errors=True)


def _remove(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        shutil.rmtree(path, ignore_errors=True)
