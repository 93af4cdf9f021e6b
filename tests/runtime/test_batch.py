"""A row gives the same bits alone and in any company: rows, batcher, a thousand sessions."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from runtime import folders

from elman.core import isas
from elman.decode.wordsearch import TOGETHER
from elman.errors import UsageError
from elman.runtime import Batcher, load
from elman.runtime.rows import MOST

WEIGHTS = ("float32", "bfloat16", "int8", "float64")
OPTIONS = {
    "lstm": {"hidden": 40},
    "lstm-norm-zoneout": {"hidden": 33, "layer_norm": True, "zoneout": 0.1},
    "gru2": {"cell": "gru", "layers": 2},
    "elman": {"cell": "elman", "hidden": 70},
    "elman-tied": {"cell": "elman", "tie": True, "embedding": 0},
    # Panels that go 8, 4, 2 and 1 at once; wide ones; so many weights that threads share them.
    "gru-panels": {"cell": "gru", "hidden": 109},
    "elman-panels": {"cell": "elman", "hidden": 150},
    "elman-wide": {"cell": "elman", "hidden": 220},
    "lstm-shared": {"hidden": 400},
}


@pytest.fixture(scope="module", params=OPTIONS, ids=OPTIONS)
def folder(request, tmp_path_factory):
    return folders.write(tmp_path_factory.mktemp("batch") / "model", **OPTIONS[request.param])


def states_of(model, rows):
    rng = np.random.default_rng(1)
    return rng.uniform(-0.9, 0.9, (rows, model.rows.size)).astype(model.dtype)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_rows_are_exact_in_any_company(folder, weights):
    model = load(folder, weights)
    rows = MOST + 61
    states = states_of(model, rows)
    ids = np.random.default_rng(2).integers(0, len(model.vocabulary), rows)
    y, after = model.rows.advance(states, ids)
    order = np.random.default_rng(3).permutation(rows)
    for size in (1, 2, 3, 5, 7, 8, 13, 48, 49, 200):
        for some in (order[:size], order[-size:]):
            found, then = model.rows.advance(states[some], ids[some])
            np.testing.assert_array_equal(found, y[some])
            np.testing.assert_array_equal(then, after[some])
    probabilities = model.predictor().advance(states, ids.astype(np.int32))[0]
    for row in range(0, rows, 19):
        one = slice(row, row + 1)
        alone = model.predictor().advance(states[one], ids[one].astype(np.int32))[0]
        np.testing.assert_array_equal(alone[0], probabilities[row])


@pytest.mark.parametrize("weights", WEIGHTS)
def test_rows_step_as_streams_do(folder, weights):
    model = load(folder, weights)
    states, stream = np.repeat(model.rows.start, 3, axis=0), model.tokens(3)
    for ids in np.random.default_rng(2).integers(0, len(model.vocabulary), (5, 3)):
        y, states = model.rows.advance(states, ids)
        np.testing.assert_allclose(y, stream.timestep(ids), rtol=1e-5, atol=1e-5)
    flat = np.concatenate([array for layer in stream.state for array in layer], axis=1)
    np.testing.assert_allclose(states, flat, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("isa", isas())
def test_every_instruction_set_is_exact(isa):
    """This file's first test under each of them."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    command += ["-k", "exact_in_any_company"]
    environment = os.environ | {"ELMAN_ISA": isa}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout
    assert "36 passed" in done.stdout


def test_a_wide_layer_takes_fewer_rows_at_once(folder, monkeypatch):
    model = load(folder)
    states = states_of(model, 50)
    ids = np.random.default_rng(2).integers(0, len(model.vocabulary), 50)
    widest = max(model.spec.hidden, len(model.vocabulary))
    monkeypatch.setattr("elman.runtime.rows.ROOM", 7 * 4 * widest)
    rows = model.rows.sibling()
    with pytest.raises(ValueError, match="from 1 to 7 rows"):
        rows._engine.advance(ids, states, states, states)
    for found, wanted in zip(
        rows.advance(states, ids), model.rows.advance(states, ids), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


def test_the_textbook_is_exact_too(folder, monkeypatch):
    monkeypatch.setattr("elman.runtime.engine.native", lambda: None)
    model = load(folder)
    states, ids = states_of(model, 5), np.arange(5)
    y, after = model.rows.advance(states, ids)
    found, then = model.rows.advance(states[3:4], ids[3:4])
    np.testing.assert_array_equal(found[0], y[3])
    np.testing.assert_array_equal(then[0], after[3])
    monkeypatch.undo()
    wanted, wanted_after = load(folder).rows.advance(states, ids)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(after, wanted_after, rtol=1e-5, atol=1e-5)


def session(model, number, batcher=None):
    """What one user sees: surprise, suggestions, writing, and the state at the end."""
    stream = model.stream(batcher=batcher)
    text = folders.TEXT[number % 50 : number % 50 + 6 + number % 5]
    seen = [stream.feed(piece) for piece in (text[:3], text[3:])]
    said = stream.suggest(2) if number % 20 == 0 else None
    written = "".join(stream.generate(3, seed=number))
    return seen, said, written, stream.state_bytes()


def test_a_thousand_sessions_at_once_are_each_as_alone(tmp_path):
    model = load(folders.write(tmp_path / "model", hidden=24))
    batcher = Batcher(model)
    sizes, plain = [], batcher._rows.advance

    def watched(states, x):
        sizes.append(len(x))
        if len(sizes) < 200:
            time.sleep(0.001)  # so that others come meanwhile
        return plain(states, x)

    batcher._rows.advance = watched
    together = {}
    begin = threading.Barrier(50)

    def work(first):
        begin.wait()
        for number in range(first, 1000, 50):
            together[number] = session(model, number, batcher)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(together) == 1000
    assert max(sizes) > 2 * TOGETHER  # more than one of them wants at a time: they did meet
    for number in range(1000):
        assert together[number] == session(model, number)


def test_sessions_interleaved_by_one_caller(tmp_path):
    """A thousand rows in one call, each at another place of its own text."""
    model = load(folders.write(tmp_path / "model", cell="gru"))
    tokens = np.tile(model.vocabulary.encode(folders.TEXT), 9)
    offsets = np.arange(1000)
    batcher = Batcher(model)
    states = np.repeat(batcher.start, 1000, axis=0)
    for step in range(12):
        y, states = batcher.advance(states, tokens[offsets + step])
    for row in range(0, 1000, 37):
        state = model.rows.start
        for step in range(12):
            alone, state = model.rows.advance(state, tokens[row + step : row + step + 1])
        np.testing.assert_array_equal(alone[0], y[row])
        np.testing.assert_array_equal(state[0], states[row])


BAD = {
    "no rows": (slice(0, 0), [], "a row for each"),
    "another size": ((slice(0, 2), slice(1, None)), [1, 2], "shape"),
    "fewer states": (slice(0, 1), [1, 2], "a row for each"),
    "below": (slice(0, 2), [1, -1], "found -1"),
    "above": (slice(0, 2), [1, 999], "found 999"),
    "float": (slice(0, 1), [1.5], "int32 or int64"),
    "matrix": (slice(0, 2), [[1], [2]], "int32 or int64"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_caller_is_refused_alone(tmp_path, bad):
    rows, x, words = bad
    model = load(folders.write(tmp_path / "model"))
    batcher = Batcher(model)
    with pytest.raises(UsageError, match=words):
        batcher.advance(states_of(model, 3)[rows], np.array(x))
    with pytest.raises(UsageError, match="states must be"):
        batcher.advance(np.ones((1, model.rows.size)), np.array([1]))
    y, _ = batcher.advance(batcher.start, np.array([1]))
    np.testing.assert_array_equal(y, model.rows.advance(model.rows.start, np.array([1]))[0])


def test_an_error_reaches_all_who_waited_and_no_one_after(tmp_path):
    model = load(folders.write(tmp_path / "model"))
    batcher = Batcher(model)
    plain = batcher._rows.advance

    def fail(states, x):
        raise MemoryError

    batcher._rows.advance = fail
    with pytest.raises(MemoryError):
        batcher.advance(batcher.start, np.array([1]))
    batcher._rows.advance = plain
    assert batcher.advance(batcher.start, np.array([1]))[0].shape == (1, len(model.vocabulary))
