"""The native core called directly with what it cannot use: an exception, and never a signal."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman import _core

CASES = Path(__file__).with_name("fuzz_core.py")


def fuzz(seed: int, calls: int, timeout: int) -> dict[str, int]:
    """How many calls ended how; a signal, a hang or another exception fails."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(CASES), str(seed), str(calls)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ends: dict[str, int] = eval(done.stdout, {"__builtins__": {}})
    assert sum(ends.values()) == calls
    return ends


@pytest.mark.parametrize("seed", [1, 2])
def test_ten_thousand_calls(seed: int) -> None:
    ends = fuzz(seed, 10_000, timeout=120)
    # Neither may everything be refused, nor nothing.
    assert min(ends["returned"], ends["ValueError"], ends["TypeError"]) > 1000


@pytest.mark.slow
@pytest.mark.timeout(1700)
@pytest.mark.parametrize("seed", range(10, 14))
def test_half_a_million_calls(seed: int) -> None:
    fuzz(seed, 500_000, timeout=1600)  # five minutes of one core under ASan


def sound(dtype: Any = np.float32) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A call that is right: a GRU of 3 units over 4 timesteps of 2 sequences."""
    T, B, H = 4, 2, 3
    options: dict[str, Any] = {
        "cell": "gru", "order": 1, "relu": False, "reverse": False, "steps": T, "batch": B,
        "units": H, "threads": 2, "saving": True, "keep_is_constant": False,
        "inputs": 0, "bfloat16": False,
    }  # fmt: skip
    inputs = {"weight_hh": np.full((3 * H, H), 0.1, dtype), "first_h": np.ones((1, B, H), dtype)}
    sizes = {"gates": (T * B, 3 * H), "inner": (T * B, H), "h": (T, B, H), "last_h": (1, B, H)}
    return options, inputs, {name: np.zeros(size, dtype) for name, size in sizes.items()}


def refused(error: type[Exception], message: str, **changes: Any) -> None:
    """The sound call with one thing changed must be refused; None takes it away."""
    parts = sound()
    for name, value in changes.items():
        part = next((p for p in parts if name in p), parts[1])
        if value is None:
            del part[name]
        else:
            part[name] = value
    with pytest.raises(error, match=message):
        _core.forward32(*parts)


def test_the_sound_call_is_sound() -> None:
    options, inputs, out = sound()
    _core.forward32(options, inputs, out)
    assert np.isfinite(out["h"]).all() and (out["last_h"][0] == out["h"][-1]).all()


@pytest.mark.parametrize("value", [0, -1, 2**40 + 1])
@pytest.mark.parametrize("name", ["steps", "batch", "units", "order", "threads"])
def test_sizes(name: str, value: int) -> None:
    refused(ValueError, f"{name} must be from 1 to ", **{name: value})


@pytest.mark.parametrize("value", [2**63, 1.0, "4", [4], True, np.float32(4)])
def test_sizes_are_whole_numbers(value: object) -> None:
    refused(TypeError, "steps must be a whole number", steps=value)


def test_what_the_input_part_is_made_of() -> None:
    refused(ValueError, "inputs must be from 0 to 1048576, found -1", inputs=-1)
    refused(ValueError, "x must be given", inputs=5)
    refused(ValueError, "x must hold 40 numbers, found 3", inputs=5, x=np.ones(3, np.float32))
    x = np.ones((4, 2, 5), np.float32)
    refused(ValueError, "weight_ih must be given", inputs=5, x=x)
    given = {"inputs": 5, "x": x, "weight_ih": np.ones((9, 5), np.float32)}
    refused(ValueError, "gates must be given", **given, gates=None)


def test_what_a_normalisation_is_made_of() -> None:
    given = {"norm_hh": np.ones(9, np.float32)}
    refused(ValueError, "norm_ih must be given", **given)
    given["norm_ih"] = np.ones(9, np.float32)
    refused(ValueError, "norm_ih must hold 9 numbers", **given | {"norm_ih": np.ones(3, "f4")})
    refused(ValueError, "gates must be given", **given, gates=None)
    refused(ValueError, "normal_a must be given", **given)


def test_products_that_leave_64_bits() -> None:
    refused(ValueError, "there are too many timesteps", steps=2**40, batch=2**40)
    refused(ValueError, "h must hold 51539607552 numbers, found 24", steps=2**33)


def test_names() -> None:
    refused(ValueError, "steps must be given", steps=None)
    refused(ValueError, "weight_hh must be given", weight_hh=None)
    refused(ValueError, "cell must be one of elman, gru, lstm, found 'rnn'", cell="rnn")
    refused(TypeError, "cell must be a string", cell=3)
    refused(TypeError, "relu must be a truth value", relu="yes")


@pytest.mark.parametrize("name", ["h", "first_h"])
def test_arrays(name: str) -> None:
    good = (sound()[1] | sound()[2])[name]
    message = f"{name} must be a C-contiguous array of 32-bit numbers"
    column_major = np.asfortranarray(np.ones((4, 2, 3), np.float32))
    for wrong in (
        good.astype(np.float64),
        column_major,
        good[..., ::-1],
        good.astype(">f4"),
        "x",
        3,
    ):
        refused(ValueError, message, **{name: wrong})
    refused(ValueError, f"{name} must hold {good.size} numbers, found 0", **{name: good[:0]})
    raw = np.zeros(good.nbytes + 1, np.uint8)[1:].view(np.float32)
    refused(ValueError, f"{name} must be aligned in memory", **{name: raw})


def test_a_constant_array_is_no_output() -> None:
    options, inputs, out = sound()
    inputs["first_h"].flags.writeable = False
    _core.forward32(options, inputs, out)
    out["h"].flags.writeable = False
    with pytest.raises(ValueError, match="h must be a C-contiguous"):
        _core.forward32(options, inputs, out)


def test_lengths_and_resets() -> None:
    for wrong in ([0, 4], [5, 1], [-1, 4], [2**62, 4]):
        refused(ValueError, "lengths must be from 1 to T=4", lengths=np.array(wrong))
    refused(ValueError, "lengths must be a C-cont", lengths=np.array([4, 4], np.int32))
    refused(ValueError, "lengths must hold 2", lengths=np.array([4]))
    refused(ValueError, "resets must be a C-contiguous", resets=np.zeros((4, 2), np.int64))
    refused(ValueError, "initial_h must be given", resets=np.zeros((4, 2), np.uint8))


def test_valid_rows_writes_into_what_it_is_given_or_nothing() -> None:
    out = np.zeros(3, np.int64)
    _core.valid_rows(2, np.array([1, 2]), out)
    assert out.tolist() == [1, 0, 3]
    with pytest.raises(TypeError):
        _core.valid_rows(2, np.array([1, 2]), out.astype(np.int32))
    with pytest.raises(ValueError, match="as many rows as are valid"):
        _core.valid_rows(2**62, np.array([2**61, 2**61]), out)  # and no table of 2^61 rows


def test_an_array_may_be_input_and_output() -> None:
    options, inputs, out = sound()
    inputs["first_h"] = out["last_h"]
    _core.forward32(options, inputs, out)
    assert np.isfinite(out["last_h"]).all()


def test_not_a_number_stays_so_and_stays_apart() -> None:
    options, inputs, out = sound()
    inputs["first_h"][0, 1, 2] = np.nan
    _core.forward32(options, inputs, out)
    assert np.isnan(out["h"][:, 1]).any(axis=-1).all() and np.isfinite(out["h"][:, 0]).all()


def test_memory_that_nobody_has() -> None:
    for size in (2**45, 2**63):
        with pytest.raises(MemoryError):
            _core.empty([size], "float32")


def test_arguments_may_change_during_the_call() -> None:
    """Arrays that are dropped by what reading another one runs are kept until the end."""
    options, inputs, out = sound()

    class Dropping:
        def __init__(self) -> None:
            self.array = np.zeros((2, 3), np.float32)

        def __dlpack__(self, **how: Any) -> object:
            inputs.clear()
            out.clear()
            return self.array.__dlpack__(**how)

        def __dlpack_device__(self) -> tuple[int, int]:
            return 1, 0

    inputs["mask"] = Dropping()
    out["entering"] = np.zeros((8, 3), np.float32)
    _core.forward32(options, inputs, out)
    assert not inputs and not out
