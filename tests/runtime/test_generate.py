"""What the core draws is what ``elman.decode.sample`` draws, and a stream's text is its own."""

import os
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest
from runtime import folders

from elman.core import isas, native
from elman.decode import sample
from elman.decode.predictor import Predictor, advance
from elman.errors import ModelError
from elman.runtime import Batcher, load
from elman.runtime.engine import draw

OPTIONS = {
    "plain": {"temperature": 1.0},
    "cold": {"temperature": 0.3},
    "hot": {"temperature": 5.0},
    "most probable": {"temperature": 0},
    "top_k": {"temperature": 0.8, "top_k": 5},
    "top_k above all": {"top_k": 10**30},
    "top_p": {"temperature": 1.2, "top_p": 0.6},
    "tiny top_p": {"top_p": 1e-9},
    "both": {"temperature": 0.7, "top_k": 9, "top_p": 0.9},
}


class Worded(Predictor):
    """The same log-probabilities, drawn in NumPy: no fast way through any part."""

    def __init__(self, predictor):
        self.plain, self.vocabulary = predictor, predictor.vocabulary

    def start(self):
        return self.plain.start()

    def advance(self, state, tokens):
        return self.plain.advance(state, tokens)


@pytest.fixture(scope="module", params=folders.LEVELS)
def model(request, tmp_path_factory):
    """The deeper ones are those that take longest, so each level has another cell."""
    cell = dict(zip(folders.LEVELS, ("lstm", "gru", "elman", "lstm"), strict=True))[request.param]
    folder = tmp_path_factory.mktemp(request.param) / "model"
    return load(folders.write(folder, request.param, cell=cell, layers=2))


def written(stream, **options):
    return "".join(stream.generate(**options))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_same_seed_writes_the_same_text_as_in_words(model, options):
    for seed in range(12):
        stream, prompt = model.stream(), ("", "the c", "it is ", "caf", "x\u0416")[seed % 5]
        if seed % 2:
            stream.feed(prompt)
        given = {} if seed % 2 else {"prompt": prompt}
        asked = {"length": 40, "seed": seed} | options
        expected = "".join(sample.generate(Worded(model.predictor()), prompt, **asked))
        assert written(stream, **({"temperature": 1.0} | asked | given)) == expected


@pytest.mark.parametrize("isa", isas())
def test_every_instruction_set_writes_the_same(isa):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    command += ["-k", "as_in_words or as_decode_does or is_a_row"]
    environment = os.environ | {"ELMAN_ISA": isa}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout
    assert "76 passed" in done.stdout


core_only = pytest.mark.skipif(native() is None, reason="no native core here")


@core_only
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("tokens", [1, 2, 63, 1000])
def test_a_draw_is_as_decode_does_it(tokens, options):
    """Random rows, equal ones among them, and ids that must not be drawn."""
    rng = np.random.default_rng(tokens)
    options = {"temperature": 1.0, "top_k": 0, "top_p": 1.0} | options
    options["top_k"] = min(options["top_k"], 10**6)
    for trial in range(60):
        scores = np.round(rng.normal(0, 3, tokens), 1 + trial % 8)
        scores[rng.random(tokens) < 0.2] = -np.inf
        scores[trial % tokens] = 0.0
        forbidden = np.setdiff1d(rng.integers(0, tokens, trial % 4), [trial % tokens])
        uniform = (0.0, 1 - 2.0**-20, *rng.random(2))[trial % 4]
        asked = scores, forbidden, uniform, *options.values()
        drawn = native().draw(*asked)
        assert drawn == sample.draw(*asked)
        assert scores[drawn] > -np.inf and drawn not in forbidden


@core_only
def test_a_whole_row_is_drawn_in_its_shares():
    """A thousand equal steps from 0 to 1 find each token as often as it is probable."""
    shares = np.array([0.0, 0.125, 0.5, 0.0, 0.25, 0.125])
    with np.errstate(divide="ignore"):
        row = np.log(shares) - 5
    none = np.array([], np.intp)
    assert native().draw(row, none, 1 - 2.0**-53, 1.0, 0, 1.0) == 5
    found = [native().draw(row, none, (i + 0.5) / 1000, 1.0, 0, 1.0) for i in range(1000)]
    np.testing.assert_array_equal(np.bincount(found, minlength=6) / 1000, shares)


BAD = {
    "nan": ([0.0, np.nan], [], 0.5, "numbers or -inf"),
    "infinite": ([0.0, np.inf], [], 0.5, "numbers or -inf"),
    "nothing": ([-np.inf], [], 0.5, "not all -inf"),
    "nothing left": ([0.0, 1.0], [0, 1], 0.5, "not all -inf"),
    "no token": ([], [], 0.5, "not all -inf"),
    "forbidden above": ([0.0], [1], 0.5, "ids of tokens"),
    "forbidden below": ([0.0], [-1], 0.5, "ids of tokens"),
    "uniform 1": ([0.0], [], 1.0, "below 1"),
    "uniform nan": ([0.0], [], np.nan, "below 1"),
}


@core_only
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_what_cannot_be_drawn_is_refused(bad, temperature):
    row, forbidden, uniform, words = bad
    with pytest.raises(ValueError, match=words):
        row, forbidden = np.array(row, float), np.array(forbidden, np.intp)
        native().draw(row, forbidden, uniform, temperature, 1, 0.5)


@core_only
@pytest.mark.parametrize(
    "sampling", [(-1, 0, 1), (np.nan, 0, 1), (np.inf, 0, 1), (1, 0, 0), (1, 0, np.nan)]
)
def test_options_that_are_none_are_refused(sampling):
    with pytest.raises(ValueError, match="temperature must be at least 0, and top_p above 0"):
        native().draw(np.zeros(3), np.array([], np.intp), 0.5, *sampling)


@core_only
def test_arrays_that_are_none_are_refused():
    row, none = np.zeros(3), np.array([], np.intp)
    narrow = row.astype("f4"), none.astype("i4")
    for asked in ((narrow[0], none), (row[None], none), (row, narrow[1]), (row, row)):
        with pytest.raises(ValueError, match="must"):
            native().draw(*asked, 0.5, 1.0, 0, 1.0)
    with pytest.raises(ValueError, match="must be an array"):
        native().draw(np.zeros(6)[::2], none, 0.5, 1.0, 0, 1.0)


def test_one_token_is_a_row_of_a_batch(model):
    """``predict`` against ``advance``: the same bits."""
    state = model.rows.start
    for token in np.random.default_rng(1).integers(0, len(model.vocabulary), 9).tolist():
        rows, after = advance(model.predictor(), state, np.array([token], np.int32))
        for found in (model.rows.predict(state, token), Batcher(model).predict(state, token)):
            assert found[0].dtype == np.float64
            np.testing.assert_array_equal(found[0], rows[0])
            np.testing.assert_array_equal(found[1], after)
        state = after
    for bad in ((state, len(model.vocabulary)), (state, -1), (state[:, 1:], 0), (state[0], 0)):
        with pytest.raises(ValueError, match="must"):
            model.rows.predict(*bad)


def test_the_textbook_writes_the_same(tmp_path, monkeypatch):
    model = load(folders.write(tmp_path / "model"))
    options = {"length": 60, "seed": 3, "top_k": 7, "top_p": 0.95}
    text = written(model.stream(), **options)
    monkeypatch.setattr("elman.runtime.engine.native", lambda: None)
    assert written(load(tmp_path / "model").stream(), **options) == text


def test_a_model_that_has_diverged_says_so(tmp_path):
    model = load(folders.write(tmp_path / "model"))
    state = np.full_like(model.rows.start, np.nan)
    with pytest.raises(ModelError, match="found nan"):
        model.predictor().step(state, 3)
    with pytest.raises(ModelError, match="some token must have a probability above 0"):
        draw(np.zeros(2), np.arange(2), 0.5, 1.0, 0, 1.0)


@pytest.mark.parametrize("stop", [1, 2, 63, 64, 65, 130])
def test_what_was_asked_for_is_in_the_stream_and_no_more(model, stop):
    """Stopped anywhere it is a stream that was fed what was written."""
    writer, reader = model.stream(), model.stream()
    writer.feed("the c")
    text = "".join(islice(writer.generate(2000, seed=stop), stop))
    reader.feed("the c" + text)
    assert writer.state_bytes() == reader.state_bytes()
    np.testing.assert_array_equal(writer.hidden(), reader.hidden())
    assert writer.feed("at") == reader.feed("at")
    assert writer.suggest() == reader.suggest()


def test_a_stream_may_be_looked_at_between_two_pieces(model):
    """Whatever is asked of it, what comes next is the same."""
    quiet, asked = model.stream(), model.stream()
    expected, found = list(quiet.generate(80, seed=7)), []
    for number, piece in enumerate(asked.generate(80, seed=7)):
        found.append(piece)
        (asked.hidden, asked.suggest, asked.state_bytes, asked.fork)[number % 4]()
    assert found == expected
    assert asked.state_bytes() == quiet.state_bytes()
