"""Timesteps and states of a stream of text: those of the model's bare tokens, and of the text."""

import numpy as np
import pytest
from runtime import folders

from elman.errors import DataError, UsageError
from elman.runtime import Batcher, load

OPTIONS = {
    "byte-lstm2": {"level": "byte", "layers": 2},
    "character-gru-norm": {"level": "character", "cell": "gru", "layer_norm": True},
    "word-elman-tied": {"level": "word", "cell": "elman", "tie": True, "embedding": 0},
    "bpe-lstm-zoneout": {"level": "bpe", "zoneout": 0.2},
}


@pytest.fixture(scope="module", params=OPTIONS, ids=OPTIONS)
def folder(request, tmp_path_factory):
    options = dict(OPTIONS[request.param])
    place = tmp_path_factory.mktemp("timestep") / "model"
    return folders.write(place, options.pop("level"), **options)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def same_states(found, expected, exactly=False):
    assert [len(layer) for layer in found] == [len(layer) for layer in expected]
    for ours, theirs in zip(sum(found, ()), sum(expected, ()), strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        (np.testing.assert_array_equal if exactly else close)(ours, theirs)


def begun(model):
    """A stream of text and one of tokens that has read the beginning."""
    stream, bare = model.stream(), model.tokens()
    bare.timestep(int(model.vocabulary.encode("\n")[0]))
    return stream, bare


@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8", "float64"])
def test_timesteps_are_those_of_tokens(folder, weights):
    model = load(folder, weights)
    stream, bare = begun(model)
    same_states(stream.state, bare.state)
    for token in np.random.default_rng(1).integers(0, len(model.vocabulary), 30):
        y = stream.timestep(token)
        assert y.dtype == model.dtype
        close(y, bare.timestep(int(token)))
        same_states(stream.state, bare.state)


def test_timesteps_are_the_references(folder):
    model = load(folder)
    tokens = model.vocabulary.encode("\n" + folders.TEXT).tolist()
    stream, expected = model.stream(), folders.log_probs(folder, tokens)
    for token, row in zip(tokens[1:], expected[1:], strict=True):
        y = stream.timestep(token).astype(float)
        np.testing.assert_allclose(y - np.logaddexp.reduce(y), row, rtol=1e-4, atol=1e-4)


def test_a_text_in_timesteps_is_the_text(folder):
    """Token by token it is what it is when it is fed: to the last bit, typed words and all."""
    model = load(folder)
    text = "the cat sat on the"
    stepped, fed = model.stream(), model.stream()
    for token in model.vocabulary.encode(text):
        stepped.timestep(np.asarray(token))
    fed.feed(text)
    assert stepped.suggest() == fed.suggest()
    assert stepped.feed(" end. it ") == fed.feed(" end. it ")
    assert stepped.state_bytes() == fed.state_bytes()
    same_states(stepped.state, fed.state, exactly=True)


def test_a_token_that_is_not_the_texts_begins_anew(tmp_path):
    model = load(folders.write(tmp_path / "model", "bpe"))
    vocabulary = model.vocabulary
    letters = [int(vocabulary.encode(letter)[0]) for letter in "the"]
    assert len(vocabulary.encode("the")) < 3
    stream, bare = begun(model)
    for token in (*letters, vocabulary.unknown):
        close(stream.timestep(token), bare.timestep(token))
    same_states(stream.state, bare.state)
    nats = stream.feed(" cat ")
    row = bare.timestep(int(vocabulary.encode(" cat")[0])).astype(float)
    assert len(nats) == 5
    other = model.stream()
    other.restore(stream.state_bytes())
    same_states(other.state, stream.state, exactly=True)
    twin = model.stream()
    twin.feed("the cat ")
    assert np.abs(twin.hidden() - stream.hidden()).max() > 1e-3
    assert row.shape == (len(vocabulary),)


def test_a_part_of_a_character_is_a_token_by_itself(tmp_path):
    model = load(folders.write(tmp_path / "model", "byte"))
    stream, bare = begun(model)
    for byte in "a\u00e9".encode():
        close(stream.timestep(byte), bare.timestep(byte))
    stream.feed("x")
    bare.timestep(ord("x"))
    same_states(stream.state, bare.state)


def test_an_accent_alone_is_not_read_into_its_letter(tmp_path):
    """NFC would make one token of the two."""
    place = folders.write(tmp_path / "model", "byte")
    model = load(place)
    stream, bare = begun(model)
    stream.feed("e")
    bare.timestep(ord("e"))
    for byte in "\u0301".encode():
        stream.timestep(byte)
        bare.timestep(byte)
    same_states(stream.state, bare.state)


@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8", "float64"])
def test_a_state_that_is_set_is_where_the_text_goes_on(folder, weights):
    model = load(folder, weights)
    stream, bare = begun(model)
    bare.state = [
        [np.random.default_rng(3).uniform(-0.9, 0.9, s.shape).astype(s.dtype) for s in layer]
        for layer in bare.state
    ]
    stream.feed("the ca")  # which is forgotten
    stream.state = bare.state
    same_states(stream.state, bare.state, exactly=True)
    token = int(model.vocabulary.encode("the")[0])
    close(stream.timestep(token), bare.timestep(token))
    same_states(stream.state, bare.state)


def test_what_was_said_of_a_state_is_said_again(folder):
    """Surprise, suggestions and writing, and bytes for another process, after state = state."""
    model = load(folder)
    stream, other = model.stream(), model.stream(batcher=Batcher(model))
    stream.feed("the cat \n")  # behind a newline nothing is typed
    other.state = stream.state
    again = model.stream()
    again.restore(other.state_bytes())
    assert again.state_bytes() == other.state_bytes() == other.fork().state_bytes()
    expected = list(stream.fork().generate(40, seed=3))
    for each in (other, again):
        assert list(each.fork().generate(40, seed=3)) == expected
        assert each.suggest() == stream.suggest()
    said = stream.feed("it is ")
    assert other.feed("it is ") == again.feed("it is ") == said
    assert other.state_bytes() == stream.state_bytes()


def test_a_state_is_a_copy(folder):
    stream = load(folder).stream()
    given = stream.state
    for array in sum(given, ()):
        array[:] = 9
    assert max(np.abs(array).max() for array in sum(stream.state, ())) < 9


@pytest.mark.parametrize("x", [-1, 10**6, 1.5, "a", None, [1], np.zeros(()), True])
def test_what_is_no_id_is_refused(folder, x):
    stream = load(folder).stream()
    before = stream.state_bytes()
    with pytest.raises(UsageError, match=r"\[TextStream.timestep\] x must be an id from 0 to"):
        stream.timestep(x)
    assert stream.state_bytes() == before


BAD = {
    "no layer": (lambda state: (), "one tuple a layer"),
    "an array less": (lambda state: [layer[1:] for layer in state], "one tuple a layer"),
    "rows": (lambda state: [[a[None] for a in layer] for layer in state], "of shape"),
    "type": (lambda state: [[a.astype("f2") for a in layer] for layer in state], "float16"),
    "nan": (lambda state: [[a * np.nan for a in layer] for layer in state], "finite"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_is_no_state_is_refused_as_a_whole(folder, bad):
    change, words = bad
    stream = load(folder).stream()
    stream.feed("the ca")
    before = stream.state_bytes()
    with pytest.raises(UsageError, match=words):
        stream.state = change(stream.state)
    assert stream.state_bytes() == before


def test_without_the_core_too(folder, monkeypatch):
    given = load(folder).stream()
    given.feed("the ")
    expected = given.fork()
    monkeypatch.setattr("elman.runtime.engine.native", lambda: None)
    stream = load(folder).stream()
    stream.state = given.state
    close(stream.timestep(3), expected.timestep(3))
    same_states(stream.state, expected.state)


def test_bytes_of_no_state_are_refused(folder):
    model = load(folder)
    stream = model.stream()
    stream.state = stream.state
    data = stream.state_bytes()
    with pytest.raises(DataError):
        stream.restore(data[:-1])
