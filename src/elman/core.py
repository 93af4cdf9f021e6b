"""The native core, if it is there: the only module that imports ``elman._core``.

The core is built when the package is installed and a C++ compiler is found. Without it everything
still works, more slowly, and the first call that misses it says so once.
"""

import importlib
import os
import warnings
from functools import cache
from types import ModuleType

from elman.errors import UsageError


@cache
def native() -> ModuleType | None:
    """The core, or None after one warning where it was not built.

    Raises :class:`~elman.errors.UsageError` when the environment variable ``ELMAN_ISA`` names an
    instruction set that this machine lacks.
    """
    if not is_built():
        message = "[core] elman was installed without a C++ compiler: it works, but slowly"
        warnings.warn(message, stacklevel=3)
        return None
    core = importlib.import_module("elman._core")
    try:
        core.isa()
    except ValueError as error:
        raise UsageError("core", str(error)) from None
    return core


@cache
def is_built() -> bool:
    """Whether the core is there."""
    try:
        importlib.import_module("elman._core")
    except ModuleNotFoundError:
        return False
    return True


def has_tiles() -> bool:
    """Whether the core multiplies on the tiles of AMX; no, where the first call will fail."""
    try:
        core = native() if is_built() else None
    except UsageError:
        return False
    return core is not None and bool(core.has_tiles())


def cores() -> int:
    """How many cores this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def threads(otherwise: int) -> int:
    """How many threads a layer runs on: the variable ``ELMAN_THREADS``, or else ``otherwise``.

    Raises :class:`~elman.errors.UsageError` when the variable is not a number from 1 to 256.
    """
    wanted = os.environ.get("ELMAN_THREADS", "")
    if not wanted:
        return otherwise
    if not wanted.isascii() or not wanted.isdigit() or not 1 <= int(wanted[:9]) <= 256:
        rule = "ELMAN_THREADS must be a number from 1 to 256"
        raise UsageError("core", f"{rule}, found {wanted[:20]!r}")
    return int(wanted)


def isas() -> list[str]:
    """The instruction sets that this machine can run, slowest first; empty without the core."""
    return list(importlib.import_module("elman._core").isas()) if is_built() else []
