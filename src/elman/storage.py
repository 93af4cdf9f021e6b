"""Files and folders that are either the old ones or the new ones, whole, whenever the power fails.

Everything new is written beside its place under a hidden name, flushed to the disk, and renamed.
One process writes a given file or folder at a time; any number may read. What is read may come
from anywhere, so it is bounded, and its JSON is strict.
"""

import errno
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from elman.errors import StorageError

REMEDIES = {
    errno.ENOSPC: "free some space or choose another disk",
    errno.EDQUOT: "free some space or choose another disk",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "check the permissions",
    errno.EPERM: "check the permissions",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
}


@contextmanager
def storage(operation: str, path: Path) -> Iterator[None]:
    """Turn an ``OSError`` inside the block into one :class:`~elman.errors.StorageError` line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = REMEDIES.get(error.errno or 0, "check the disk")
        raise StorageError(operation, f"{shown(path)}: {reason}; {remedy}") from error


def shown(text: object, limit: int = 300) -> str:
    """``text`` fit for one line of a message: printable, on one line and not too long."""
    words = " ".join(str(text).split())
    line = "".join(letter if letter.isprintable() else "?" for letter in words)
    return line if len(line) <= limit else line[: limit - 3] + "..."


def read_file(path: Path, limit: int) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes.

    Raises ``ValueError`` for anything else found there (a pipe would block for ever, a device
    never ends) and ``OSError`` when the file cannot be opened or read.
    """
    # Without O_NONBLOCK, opening a pipe would wait for a writer.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{path.name} is not a regular file")
        if found.st_size > limit:
            raise ValueError(
                f"{path.name} holds {found.st_size} bytes, at most {limit} are accepted"
            )
        return file.read(found.st_size)  # What grows meanwhile stays unread.


def parse_json(data: bytes, values: int = 1 << 20) -> Any:
    """Parse JSON that means one thing only.

    Raises ``ValueError`` for duplicate keys, numbers that are not finite, text that is not
    Unicode, nesting too deep to hold and more than ``values`` values, counted by their marks
    before they are made: ``[],`` takes 72 bytes of memory for its three.
    """
    if sum(map(data.count, (b",", b":", b"[", b"{"))) > values:
        raise ValueError(f"holds more than {values:,} values")
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        if b"\\u" in data:  # else half a surrogate pair cannot stand there
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except UnicodeError:
        raise ValueError("is not Unicode text") from None
    return value


def write_file(path: Path, data: bytes) -> None:
    """Replace the file ``path`` by one that holds ``data``, atomically and durably."""
    partial = _beside(path, "partial")
    try:
        _write_flushed(partial, data)
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replace ``folder`` by one that holds exactly ``files``, written in their order.

    Missing parents are made. On an ``OSError`` the previous folder is still there. A process
    killed between the two renames leaves it under the name :func:`previous` gives.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = _beside(folder, "partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        os.mkdir(partial)
        for name, data in files.items():
            _write_flushed(partial / name, data)
        flush_folder(partial)
        _swap(partial, folder)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    flush_folder(folder.parent)
    shutil.rmtree(previous(folder), ignore_errors=True)


def previous(folder: Path) -> Path:
    """Where :func:`write_folder` keeps the folder it is replacing until the new one is there."""
    return _beside(folder, "previous")


def flush_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable: a rename is not on the disk before this."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _swap(new: Path, folder: Path) -> None:
    """Rename ``new`` to ``folder``, moving an existing ``folder`` aside first."""
    if not folder.exists():
        os.rename(new, folder)
        return
    shutil.rmtree(previous(folder), ignore_errors=True)
    os.rename(folder, previous(folder))
    try:
        os.rename(new, folder)
    except OSError:
        os.rename(previous(folder), folder)
        raise


def _beside(path: Path, role: str) -> Path:
    return path.with_name(f".{path.name}.{role}")


def _write_flushed(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]  # A write may take a part only.
        os.fsync(handle)
    finally:
        os.close(handle)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("has the same key twice in one object")
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(f"holds {name}, which is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError("holds a number too large for a float")
    return value
