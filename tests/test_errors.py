"""What users read when something is wrong, and what the shell is told."""

import copy
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from elman import errors
from elman.errors import ElmanError, UsageError, check_bounds, check_choice, check_shape

EXIT_CODES = {
    "ElmanError": 1,
    "UsageError": 2,
    "DivergedError": 3,
    "DataError": 4,
    "ModelError": 5,
    "StorageError": 74,
}


def test_every_error_has_its_exit_code() -> None:
    classes = {n: c for n, c in vars(errors).items() if isinstance(c, type) and n.endswith("Error")}
    assert {name: kind.exit_code for name, kind in classes.items()} == EXIT_CODES
    assert all(issubclass(kind, ElmanError) for kind in classes.values())


@pytest.mark.parametrize("name", ["UsageError", "DataError"])
def test_wrong_values_are_value_errors(name: str) -> None:
    assert issubclass(getattr(errors, name), ValueError)


@pytest.mark.parametrize("name", EXIT_CODES)
def test_an_error_is_one_line_and_survives_a_copy(name: str) -> None:
    error = getattr(errors, name)("LSTM", "x must be small, found 9")
    # A copy goes through __reduce__, as the way back from a worker process does.
    for each in (error, copy.copy(error), copy.deepcopy(error)):
        assert type(each) is type(error)
        assert str(each) == "[LSTM] x must be small, found 9"
        assert (each.operation, each.message) == ("LSTM", "x must be small, found 9")


SHAPES: dict[str, tuple[Any, tuple[int | str, ...], str]] = {
    "wrong size": (np.zeros((5, 3)), ("T", 4), "(T, 4), found (5, 3)"),
    "missing dimension": (np.zeros(5), ("T", "B"), "(T, B), found (5,)"),
    "surplus dimension": (torch.zeros(5, 1), (5,), "(5,), found (5, 1)"),
    "scalar": (torch.tensor(1.0), (2,), "(2,), found ()"),
}


@pytest.mark.parametrize("case", SHAPES.values(), ids=SHAPES)
def test_a_wrong_shape_is_told(case: tuple[Any, tuple[int | str, ...], str]) -> None:
    array, expected, message = case
    with pytest.raises(UsageError) as raised:
        check_shape("GRU", "hx h", array, expected)
    assert str(raised.value) == f"[GRU] hx h must have shape {message}"


@pytest.mark.parametrize("make", [np.zeros, torch.zeros], ids=["numpy", "torch"])
def test_letters_stand_for_any_size(make: Any) -> None:
    check_shape("GRU", "x", make((0, 7, 3)), ("T", "B", 3))
    check_shape("GRU", "x", make(()), ())


CHOICES: dict[str, tuple[object, str]] = {
    "near": ("gur", "'gur'; did you mean gru?"),
    "case": ("LSTM", "'LSTM'; did you mean lstm?"),
    "far": ("transformer", "'transformer'"),
    "no text": (3, "'3'"),
    "long": ("x" * 1000, repr("x" * 60)),
}


@pytest.mark.parametrize("case", CHOICES.values(), ids=CHOICES)
def test_a_wrong_choice_is_told(case: tuple[object, str]) -> None:
    value, found = case
    with pytest.raises(UsageError) as raised:
        check_choice("train", "cell", value, ["gru", "lstm"])
    assert str(raised.value) == f"[train] cell must be one of gru, lstm, found {found}"


def test_a_right_choice_passes() -> None:
    check_choice("train", "cell", "gru", ("gru", "lstm"))


@pytest.mark.parametrize("value", [-0.1, 1.5, math.nan, math.inf], ids=str)
def test_out_of_bounds_is_told(value: float) -> None:
    values = SimpleNamespace(steps=3, rate=value)
    with pytest.raises(UsageError) as raised:
        check_bounds("train", values, {"steps": (1, 10), "rate": (0, 1)})
    assert str(raised.value) == f"[train] rate must be from 0 to 1, found {value:g}"


def test_both_bounds_are_inside() -> None:
    check_bounds("train", SimpleNamespace(low=0.0, high=1), {"low": (0, 1), "high": (0, 1)})
