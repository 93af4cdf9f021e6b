"""Streams of text: what they say is the reference's, in whatever pieces they are fed."""

import random
import unicodedata

import numpy as np
import pytest
from runtime import folders

from elman.decode.sample import generate
from elman.decode.suggest import suggest
from elman.errors import DataError, UsageError
from elman.runtime import Batcher, load

# Words begun, accents typed after their letters, letters never seen, long runs without a space.
TYPED = (
    "the ca\u0301t cafe\u0301 na\u00efve\n  don't \u0416\u5b57x"
    + "ab" * 1200
    + ". the e\u0323\u0301nd"
)


@pytest.fixture(scope="module", params=folders.LEVELS)
def model(request, tmp_path_factory):
    return load(folders.write(tmp_path_factory.mktemp(request.param) / "model", request.param))


def pieces(text, seed):
    """``text`` in random pieces."""
    draw = random.Random(seed)
    while text:
        size = draw.choice((1, 1, 2, 3, 7, 50, 400))
        yield text[:size]
        text = text[size:]


@pytest.mark.parametrize("level", folders.LEVELS)
@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
def test_surprise_is_the_references(tmp_path, cell, level):
    """What all characters have together is what the tokens of the text have."""
    folder = folders.write(tmp_path / "model", level, cell=cell, layers=2)
    stream = load(folder).stream()
    found = stream.feed(folders.TEXT)
    tokens = load(folder).vocabulary.encode("\n" + folders.TEXT)
    expected = -folders.log_probs(folder, tokens[:-1])[np.arange(len(tokens) - 1), tokens[1:]]
    assert "".join(each.character for each in found) == folders.TEXT
    # An Elman network of random weights enlarges the rounding of float32: how much depends on the
    # instruction set, 0.04 to 1.1e-6 were found where those with gates have 1e-8.
    bound = 4e-6 if cell == "elman" else 1e-7
    assert sum(each.nats for each in found) == pytest.approx(expected.sum(), rel=bound)
    if level == "character":
        assert [each.nats for each in found] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_a_word_begun_counts_as_all_that_go_on_with_it(tmp_path):
    folder = folders.write(tmp_path / "model", "word")
    model = load(folder)
    row = np.exp(folders.log_probs(folder, model.vocabulary.encode("\n"))[0])

    def mass(text):
        whole = [i for i, p in enumerate(model.vocabulary.pieces) if p.decode().startswith(text)]
        return row[whole].sum() + row[0]

    begun = (" ", " t", " th", " the")
    masses = [1.0, *map(mass, begun)]
    assert masses[1] > masses[2] >= masses[3] >= masses[4] > row[0] * 1.01
    found = model.stream().feed(begun[-1])
    expected = -np.log(np.divide(masses[1:], masses[:-1]))
    assert [each.nats for each in found] == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_pieces_are_the_whole(model, seed):
    whole, parts = model.stream(), model.stream()
    said = whole.feed(TYPED)
    heard = []
    for number, piece in enumerate(pieces(TYPED, seed)):
        if number % 5 == seed:
            parts.suggest()
        if number % 4 == seed:
            other = model.stream()
            other.restore(parts.state_bytes())
            parts = other
        if number % 7 == seed:
            parts = parts.fork()
        heard += parts.feed(piece)
    assert heard == said
    assert parts.suggest() == whole.suggest()
    assert parts.state_bytes() == whole.state_bytes()
    np.testing.assert_array_equal(parts.hidden(), whole.hidden())
    assert list(parts.generate(30, seed=1)) == list(whole.generate(30, seed=1))


def test_it_suggests_and_writes_as_decode_does(model):
    for text in ("", "the c", "it is the ", "caf", "cafe\u0301", "xyz\u0416"):
        stream = model.stream()
        stream.feed(text)
        assert stream.suggest(5) == suggest(model.predictor(), text, 5)
        options = {"length": 40, "temperature": 0.7, "top_k": 9, "top_p": 0.95, "seed": 4}
        written = "".join(stream.generate(**options))
        assert written == "".join(generate(model.predictor(), text, **options))
        assert len(written) == 40


def test_what_it_writes_it_has_read(model):
    writer, reader = model.stream(), model.stream()
    writer.feed("the cat ")
    text = next(writer.generate(50, seed=2))
    reader.feed("the cat " + text)
    assert writer.state_bytes() == reader.state_bytes()
    assert writer.suggest() == reader.suggest()


def test_hidden_is_the_last_layers_h(tmp_path):
    model = load(folders.write(tmp_path / "model", "character", layers=2))
    stream, bare = model.stream(), model.tokens()
    stream.feed("the c\u00e1")
    for token in model.vocabulary.encode("\nthe c\u00e1"):
        bare.timestep(int(token))
    found = stream.hidden()
    assert found.shape == (19,) and found.dtype == np.float32
    np.testing.assert_allclose(found, bare.state[-1][0], rtol=1e-5, atol=1e-6)
    found[:] = 9
    assert stream.hidden().max() < 1


def test_forks_and_resets_are_independent(model):
    stream = model.stream()
    stream.feed("the ca")
    twin, before = stream.fork(), stream.state_bytes()
    twin.feed("t sat")
    assert stream.state_bytes() == before != twin.state_bytes()
    stream.feed("t sat")
    assert stream.suggest() == twin.suggest()
    stream.reset()
    assert stream.state_bytes() == model.stream().state_bytes()


def test_a_surrogate_changes_nothing(model):
    stream = model.stream()
    stream.feed("the")
    before = stream.state_bytes()
    with pytest.raises(DataError, match="lone surrogate"):
        stream.feed("ab\ud800")
    assert stream.state_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"length": -1}, "length must be at least 0"),
        ({"temperature": 1e9}, "temperature must be from 0"),
        ({"top_p": 0}, "top_p must be above 0"),
        ({"top_k": -1}, "top_k must be at least 0"),
    ],
)
def test_bounds_of_writing(model, options, words):
    with pytest.raises(UsageError, match=words):
        model.stream().generate(**options)


def test_a_batcher_changes_nothing(model):
    apart, together = model.stream(), model.stream(batcher=Batcher(model))
    for piece in ("the c", "at", " sa"):
        assert apart.feed(piece) == together.feed(piece)
        assert apart.suggest() == together.suggest()
    assert list(apart.generate(20)) == list(together.generate(20))


def test_normal_form_is_what_is_read(model):
    apart, joined = model.stream(), model.stream()
    apart.feed(unicodedata.normalize("NFD", "caf\u00e9 na\u00efve "))
    joined.feed("caf\u00e9 na\u00efve ")
    assert apart.state_bytes() == joined.state_bytes()


def test_every_token_is_computed_once(tmp_path):
    """Those drawn ahead among them, which the reader finds when it comes there."""
    model = load(folders.write(tmp_path / "model"))
    calls, rows = [], model.rows
    predict, compose = rows.predict, rows.compose

    def predicted(state, token):
        calls.append(token)
        return predict(state, token)

    def composed(state, token, *rest):
        steps = list(compose(state, token, *rest))
        calls.extend([token, *(drawn for drawn, _, _ in steps[:-1])])
        return iter(steps)

    rows.predict, rows.compose = predicted, composed
    stream = model.stream()
    stream.feed("the cat")
    written = "".join(stream.generate(60, seed=5))
    tokens = model.vocabulary.encode("\nthe cat" + written).tolist()
    assert calls == tokens[:-1]  # nobody has asked yet what comes after the last
    stream.hidden()
    assert calls == tokens
