"""exp, tanh and sigmoid of the core over all exponents, against NumPy in higher precision."""

import numpy as np
import pytest

from elman import _core

FUNCTIONS = {
    "exp": np.exp,
    "tanh": np.tanh,
    "sigmoid": lambda v: np.where(v >= 0, 1, np.exp(-np.abs(v))) / (1 + np.exp(-np.abs(v))),
}
BOUND = {np.float32: 1e-6, np.float64: 1e-13}


def apply(function: str, v: np.ndarray) -> np.ndarray:
    out = np.full_like(v, np.nan)
    _core.apply(function, v, out)
    return out


def inputs(dtype: type) -> np.ndarray:
    """Every exponent of both signs, and densely what the functions do not map to a limit."""
    limits = np.finfo(dtype)
    sizes = np.geomspace(limits.smallest_subnormal, limits.max / 2, 40001, dtype=np.longdouble)
    dense = (
        np.linspace(-120, 120, 100003) if dtype == np.float32 else np.linspace(-760, 760, 100003)
    )
    return np.concatenate([sizes, -sizes, dense, [0.0]]).astype(dtype)


@pytest.mark.parametrize("dtype", BOUND, ids=lambda d: d.__name__)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_error_bound(function: str, dtype: type) -> None:
    v = inputs(dtype)
    found = apply(function, v)
    with np.errstate(over="ignore", under="ignore"):
        wanted = FUNCTIONS[function](v.astype(np.longdouble))
        rounded = wanted.astype(dtype)
    limits = np.finfo(dtype)
    finite = np.isfinite(rounded)
    # At the border itself either answer is right: the largest number or infinity.
    border = np.abs(wanted) > np.longdouble(limits.max) * (1 - 1e-5)
    assert np.array_equal(found[~finite & ~border], rounded[~finite & ~border])
    normal = finite & ~border & (np.abs(wanted) >= limits.smallest_normal)
    relative = np.abs(found[normal] - wanted[normal]) / np.abs(wanted[normal])
    assert relative.max() <= BOUND[dtype]
    small = finite & (np.abs(wanted) < limits.smallest_normal)
    assert np.abs(found[small] - wanted[small]).max() <= limits.smallest_normal


@pytest.mark.parametrize("dtype", BOUND, ids=lambda d: d.__name__)
def test_limits(dtype: type) -> None:
    v = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], dtype=dtype)
    nan = np.nan
    np.testing.assert_array_equal(apply("exp", v), np.array([np.inf, 0, nan, 1, 1], dtype=dtype))
    np.testing.assert_array_equal(apply("sigmoid", v), np.array([1, 0, nan, 0.5, 0.5], dtype))
    tanh = apply("tanh", v)
    np.testing.assert_array_equal(tanh, np.array([1, -1, nan, 0, 0], dtype=dtype))
    assert np.signbit(tanh).tolist()[3:] == [False, True]


@pytest.mark.parametrize("dtype", BOUND, ids=lambda d: d.__name__)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_bounded_and_never_falling(function: str, dtype: type) -> None:
    v = np.linspace(-30, 30, 20001).astype(dtype)
    found = apply(function, v)
    if function != "exp":
        assert np.abs(found).max() <= 1
    steps = np.diff(found)
    assert (steps >= -2 * np.finfo(dtype).eps * np.abs(found[1:])).all()


@pytest.mark.parametrize("count", [0, 1, 3, 7, 8, 17])
def test_every_rest_of_a_vector(count: int) -> None:
    v = np.linspace(-2, 2, count, dtype=np.float32)
    out = np.full(count + 1, 7.0, dtype=np.float32)
    _core.apply("tanh", v, out[:count])
    np.testing.assert_allclose(out[:count], np.tanh(v), rtol=1e-6)
    assert out[count] == 7.0


def test_wrong_arguments_are_refused() -> None:
    v = np.zeros(4, dtype=np.float32)
    with pytest.raises(ValueError, match="one size"):
        _core.apply("exp", v, v[:3].copy())
    with pytest.raises(ValueError, match="must be one of exp, tanh, sigmoid"):
        _core.apply("sin", v, v.copy())
    for wrong in (v.astype(np.int32), np.zeros((2, 2), np.float32), np.zeros(8, np.float32)[::2]):
        with pytest.raises(TypeError):
            _core.apply("exp", wrong, v.copy())
