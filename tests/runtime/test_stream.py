"""What a stream promises besides its numbers: its state, its errors, its memory."""

import copy
import pickle
import subprocess
import sys
import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest
from runtime.networks import Network

from elman.errors import UsageError
from elman.runtime import Stream

X = np.array([0.5, -1.0, 2.0], dtype="float32")


def make(cell: str = "lstm", batch: int | None = None, **changes: Any) -> Stream:
    network = Network(cell, {}, inputs=3, units=5, layers=2)
    return Stream.from_weights(cell, network.arrays | changes, batch_size=batch)


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_state_goes_around(cell: str) -> None:
    stream = make(cell, batch=3)
    x = np.tile(X, (3, 1))
    stream.timestep(x)
    state = stream.state
    wanted = stream.timestep(x)
    stream.state = state
    np.testing.assert_array_equal(stream.timestep(x), wanted)
    state[0][0][...] = 9.0  # a copy: the stream does not see it
    assert not (stream.state[0][0] == 9.0).any()


def test_rows_of_a_batch_are_streams_of_their_own() -> None:
    together, alone = make(batch=4), make()
    rng = np.random.default_rng(1)
    xs = rng.standard_normal((3, 4, 3)).astype("float32")
    found = [together.timestep(x)[2] for x in xs]
    wanted = [alone.timestep(x[2]) for x in xs]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


def test_siblings_and_copies_share_weights_and_not_state() -> None:
    stream = make()
    first = stream.timestep(X)
    sibling, twin, deep = stream.sibling(), copy.copy(stream), copy.deepcopy(stream)
    np.testing.assert_array_equal(sibling.timestep(X), first)
    second = stream.timestep(X)
    del stream
    np.testing.assert_array_equal(twin.timestep(X), second)
    np.testing.assert_array_equal(deep.timestep(X), second)


def test_out_is_filled_and_may_be_the_input() -> None:
    network = Network("gru", {}, inputs=5, units=5)
    stream = Stream.from_weights("gru", network.arrays)
    x = np.linspace(-1, 1, 5, dtype="float32")
    wanted = stream.sibling().timestep(x)
    assert stream.timestep(x, out=x) is x
    np.testing.assert_array_equal(x, wanted)


def test_any_strides_of_x() -> None:
    wide = np.stack([X[::-1], X], axis=1)  # (3, 2)
    np.testing.assert_array_equal(make().timestep(wide[:, 1]), make().timestep(X))
    np.testing.assert_array_equal(make().timestep(wide[::-1, 0]), make().timestep(X))
    batch = np.asfortranarray(np.stack([X, -X]))
    np.testing.assert_array_equal(
        make(batch=2).timestep(batch), make(batch=2).timestep(np.ascontiguousarray(batch))
    )


def test_not_a_number_is_not_hidden() -> None:
    for weights in ("float32", "bfloat16", "int8"):
        network = Network("elman", {"nonlinearity": "relu"}, inputs=3, units=5)
        stream = Stream.from_weights("elman", network.arrays, weights=weights, nonlinearity="relu")
        assert np.isnan(stream.timestep(np.array([0, np.nan, 1], dtype="float32"))).all()


BAD_STEPS: dict[str, tuple[Any, Any, str]] = {
    "dtype": (X.astype("float64"), None, "x must be float32, found an array of format 'd'"),
    "integers": (np.array([1, 2, 3]), None, "x must be float32"),
    "size": (X[:2], None, r"x must have shape \(3,\), found \(2,\)"),
    "dimensions": (X[None], None, r"x must have shape \(3,\), found \(1, 3\)"),
    "scalar": (np.float32(1), None, r"x must have shape \(3,\), found \(\)"),
    "empty": (X[:0], None, r"x must have shape \(3,\), found \(0,\)"),
    "list": ([1.0, 2.0, 3.0], None, "x must be an array, found a list"),
    "none": (None, None, "x must be an array, found a NoneType"),
    "bytes": (b"123", None, "x must be float32"),
    "out size": (X, np.zeros(4, dtype="float32"), r"out must have shape \(5,\), found \(4,\)"),
    "out dtype": (X, np.zeros(5), "out must be float32"),
    "out strided": (X, np.zeros(10, dtype="float32")[::2], "out must be a writable C-contiguous"),
    "byte-swapped": (X.astype(">f4"), None, "x must be float32, found an array of format '>f'"),
    "objects": (X.astype(object), None, "x must be float32, found an array of format 'O'"),
    "halves": (X.astype("float16"), None, "x must be float32"),
    "complex": (X.astype("complex64"), None, "x must be float32"),
    "records": (np.zeros(3, dtype=[("a", "f4")]), None, "x must be float32"),
    "0-d": (np.array(1, dtype="float32"), None, r"x must have shape \(3,\), found \(\)"),
    "huge": (
        np.broadcast_to(X[:1], (2**40,)),
        None,
        r"x must have shape \(3,\), found \(1099511627776,\)",
    ),
    "many dimensions": (X.reshape((1,) * 31 + (3,)), None, "x must have shape"),
    "dates": (np.zeros(3, dtype="M8[s]"), None, "x must be an array, found a ndarray"),
    "out 0-d": (X, np.zeros((), dtype="float32"), r"out must have shape \(5,\), found \(\)"),
    "out byte-swapped": (X, np.zeros(5, dtype=">f4"), "out must be float32"),
    "out objects": (X, np.zeros(5, dtype=object), "out must be float32"),
    "out reversed": (X, np.zeros(5, dtype="float32")[::-1], "out must be a writable C-contig"),
    "out list": (X, [0.0] * 5, "out must be a writable C-contiguous array, found a list"),
}


@pytest.mark.parametrize("bad", BAD_STEPS.values(), ids=BAD_STEPS)
def test_a_timestep_refuses(bad: tuple[Any, Any, str]) -> None:
    x, out, message = bad
    with pytest.raises(UsageError, match=r"^\[Stream.timestep\] " + message) as caught:
        make().timestep(x, out)
    assert "\n" not in str(caught.value)


def test_a_timestep_refuses_out_that_is_read_only() -> None:
    out = np.zeros(5, dtype="float32")
    out.flags.writeable = False
    with pytest.raises(UsageError, match="out must be a writable"):
        make().timestep(X, out)


W = np.ones((20, 3), dtype="float32")
BAD_WEIGHTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "cell": ({}, {"cell": "ltsm"}, "did you mean lstm"),
    "format": ({}, {"weights": "int4"}, "weights must be one of"),
    "projection": ({}, {"proj_size": 2}, r"weight_hh_l0 must have shape \(20, 2\)"),
    "projected elman": ({}, {"cell": "elman", "proj_size": 2}, "proj_size needs the lstm cell"),
    "not finite": ({"weight_ih_l0": W * np.nan}, {"weights": "bfloat16"}, "must be finite"),
    "ragged": ({"weight_ih_l0": [[1.0], [1.0, 2.0]]}, {}, "weight_ih_l0"),
    "objects": ({"weight_ih_l0": W.astype(object)}, {}, "must hold floating-point numbers"),
    "scalar": ({"bias_ih_l0": np.float32(1)}, {}, r"bias_ih_l0 must have shape \(20,\)"),
    "empty": ({"weight_ih_l0": W[:0]}, {}, "hidden_size must be at least 1"),
    "no columns": ({"weight_ih_l0": W[:, :0]}, {}, "input_size must be at least 1"),
    "no arrays": ({"weight_ih_l0": None}, {}, "weight_ih_l0 must be given"),
    "rows": ({"weight_ih_l0": W[:19]}, {}, "weight_ih_l0 must have 4 rows a hidden unit"),
    "shape": ({"weight_hh_l0": W}, {}, r"weight_hh_l0 must have shape \(20, 5\)"),
    "integers": ({"weight_ih_l0": W.astype(int)}, {}, "must hold floating-point numbers"),
    "extra": ({"peephole_l0": W[0]}, {}, "found 'peephole_l0'"),
    "bias": ({"bias_hh_l1": None}, {}, "bias_hh_l1 must be given"),
    "columns": ({"weight_ih_l1": W}, {}, "weight_ih_l1 must have 5 columns"),
    "zoneout": ({}, {"zoneout": 1.5}, "zoneout must be one number from 0 to 1"),
    "zoneout count": ({}, {"zoneout": (0.1,)}, "one for each of h, c"),
    "order": ({}, {"order": 2}, "order needs the elman cell"),
    "batch": ({}, {"batch_size": 0}, "batch_size must be from 1"),
    "negative batch": ({}, {"batch_size": -1}, "batch_size must be from 1"),
    "huge batch": ({}, {"batch_size": 2**40}, "batch_size must be from 1 to 65536"),
    "infinite": (
        {"weight_ih_l0": np.full_like(W, np.inf)},
        {"weights": "int8"},
        "weight_ih_l0 must be finite",
    ),
}


@pytest.mark.parametrize("bad", BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_weights_are_refused(bad: tuple[dict[str, Any], dict[str, Any], str]) -> None:
    changes, options, message = bad
    arrays = Network("lstm", {}, inputs=3, units=5, layers=2).arrays | changes
    arrays = {name: array for name, array in arrays.items() if array is not None}
    with pytest.raises(UsageError, match=message) as caught:
        Stream.from_weights(**{"cell": "lstm", "arrays": arrays} | options)
    assert "\n" not in str(caught.value)


def test_a_refused_state_changes_nothing() -> None:
    stream = make()
    stream.timestep(X)
    before = stream.state
    wrong = [before[0], (np.zeros(5, dtype="float32"), np.zeros(4, dtype="float32"))]
    for state, message in (
        (wrong, "float32 arrays of shape"),
        ([before[0]], "one tuple a layer"),
    ):
        with pytest.raises(UsageError, match=message):
            stream.state = state
    for found, wanted in zip(stream.state, before, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_pickling_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be pickled"):
        pickle.dumps(make())


def test_a_timestep_allocates_nothing_in_python() -> None:
    stream, out = make(), np.empty(5, dtype="float32")
    stream.timestep(X, out)
    tracemalloc.start()
    try:
        for _ in range(10):
            stream.timestep(X, out)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            stream.timestep(X, out)
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 500  # the frames of this loop


def test_one_thread_at_a_time() -> None:
    """Large enough for the interpreter to be handed over: a second thread is refused or waits."""
    network = Network("lstm", {}, inputs=64, units=64)
    stream = Stream.from_weights("lstm", network.arrays, batch_size=64)
    x = np.ones((64, 64), dtype="float32")
    refused: list[str] = []

    def work() -> None:
        for _ in range(100):
            try:
                y = stream.timestep(x)
            except UsageError as error:
                refused.append(str(error))
            else:
                assert np.isfinite(y).all()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("one thread at a time" in message for message in refused)
    assert np.isfinite(stream.timestep(x)).all()


def test_torch_is_not_loaded() -> None:
    code = "import sys, elman.runtime; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
