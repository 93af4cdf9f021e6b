"""``metrics.jsonl``: what a run measured, one JSON object a line, in the order of its steps.

Every row has a ``step``. The other names that elman knows: ``epoch`` (a float), ``loss`` and
``validation_loss`` (nats per token), ``learning_rate``, ``gradient_norm``, ``seconds`` (since the
run began). A run calls :func:`truncate` once when it starts or resumes, then :func:`append`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elman.errors import DataError
from elman.storage import read_file, shown, storage, write_file

LIMIT = 1 << 30  # bytes of a file that is read


def append(path: str | Path, step: int, values: Mapping[str, Any]) -> None:
    """Append one row and hand it to the operating system, so that a kill does not lose it.

    Numbers that are not finite become ``null``, since JSON has no word for them. Raises
    :class:`~elman.errors.StorageError` when the disk refuses.
    """
    row = json.loads(json.dumps({"step": step, **values}), parse_constant=_null)
    with storage("metrics", Path(path)), open(path, "ab") as file:
        file.write(json.dumps(row).encode() + b"\n")


def read(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a metrics file; the half line that a kill may leave at the end is left out.

    Raises :class:`~elman.errors.DataError` for any other line that is not a row.
    """
    return [row for _, row in _lines(Path(path))]


def truncate(path: str | Path, step: int) -> None:
    """Drop the rows after ``step`` and any half line: the resumed run will write them again.

    The lines that stay are the same bytes as before. A missing file is left missing.
    """
    path = Path(path)
    if not path.exists():
        return
    kept = [line for line, row in _lines(path) if row["step"] <= step]
    with storage("metrics", path):
        write_file(path, b"".join(kept))


def _lines(path: Path) -> list[tuple[bytes, dict[str, Any]]]:
    """Every complete line, with its row."""
    with storage("metrics", path):
        try:
            data = read_file(path, LIMIT)
        except ValueError as error:
            raise DataError("metrics", shown(error)) from None
    lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
    return [(line, _parse(path, number, line)) for number, line in enumerate(lines, 1)]


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line, parse_constant=_null)
    except (ValueError, RecursionError):
        row = None
    if not (isinstance(row, dict) and type(row.get("step")) is int):
        raise DataError(
            "metrics",
            f"{shown(path)}, line {number} must be a JSON object with a step; remove that line",
        )
    return row


def _null(constant: str) -> None:
    """What ``NaN`` and ``Infinity`` are read as."""
