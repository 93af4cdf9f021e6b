"""The exceptions of elman, and the checks of shapes, choices and bounds that raise them.

Every message reads ``[operation] rule, what was found, what to do`` on one line. The command
line prints that line and exits with the class's ``exit_code``; a traceback is a bug.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any


class ElmanError(Exception):
    """Base of everything elman raises on purpose.

    ``exit_code`` is what the command line returns to the shell when this error ends a command.
    """

    exit_code = 1

    def __init__(self, operation: str, message: str) -> None:
        super().__init__(f"[{operation}] {message}")
        self.operation = operation
        self.message = message

    def __reduce__(self) -> tuple[type["ElmanError"], tuple[str, str]]:
        # The default would call __init__ with the one formatted string, and fail.
        return type(self), (self.operation, self.message)


class UsageError(ElmanError, ValueError):
    """An argument or option that cannot be used as given."""

    exit_code = 2


class DivergedError(ElmanError):
    """Training produced a loss that is not a finite number."""

    exit_code = 3


class DataError(ElmanError, ValueError):
    """A corpus or file whose content cannot be used."""

    exit_code = 4


class ModelError(ElmanError):
    """No usable model or checkpoint where one was expected."""

    exit_code = 5


class StorageError(ElmanError):
    """Reading or writing failed: missing, read-only or full."""

    exit_code = 74


def check_shape(operation: str, name: str, array: Any, expected: Sequence[int | str]) -> None:
    """Raise :class:`UsageError` unless ``array.shape`` matches ``expected``.

    ``expected`` holds one entry a dimension: an int that must match, or a letter (``"T"``) that
    stands for any size. Works for NumPy arrays and PyTorch tensors alike.

    >>> import numpy as np
    >>> check_shape("LSTM", "input", np.zeros((5, 3, 8)), ("T", "B", 9))
    Traceback (most recent call last):
    ...
    elman.errors.UsageError: [LSTM] input must have shape (T, B, 9), found (5, 3, 8)
    """
    found = tuple(array.shape)  # not int(): a traced size would no longer be free
    fits = found == tuple(expected) or (
        len(found) == len(expected)
        and all(isinstance(w, str) or w == size for w, size in zip(expected, found, strict=True))
    )
    if not fits:
        wanted = ", ".join(str(size) for size in expected)
        if len(expected) == 1:
            wanted += ","
        raise UsageError(operation, f"{name} must have shape ({wanted}), found {found}")


def check_choice(operation: str, name: str, value: object, choices: Collection[str]) -> None:
    """Raise :class:`UsageError` unless ``value`` is one of ``choices``, with the nearest.

    >>> check_choice("train", "cell", "gur", ["gru", "lstm"])
    Traceback (most recent call last):
    ...
    elman.errors.UsageError: [train] cell must be one of gru, lstm, found 'gur'; did you mean gru?
    """
    if isinstance(value, str) and value in choices:
        return
    from difflib import get_close_matches  # 3 ms that only a mistake needs

    near = get_close_matches(str(value).lower(), choices, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    rule = f"{name} must be one of {', '.join(choices)}"
    raise UsageError(operation, f"{rule}, found {str(value)[:60]!r}{hint}")


def check_bounds(operation: str, values: object, bounds: Mapping[str, tuple[float, float]]) -> None:
    """Raise :class:`UsageError` for the first attribute of ``values`` outside its (low, high)."""
    for name, (low, high) in bounds.items():
        value = getattr(values, name)
        if not low <= value <= high:  # NaN is refused too
            raise UsageError(operation, f"{name} must be from {low:g} to {high:g}, found {value:g}")
