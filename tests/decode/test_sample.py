"""Sampling: the distributions exactly, the draws by their seed."""

import math

import numpy as np
import pytest

from elman.decode.predictor import Predictor
from elman.decode.sample import generate, probabilities, sample
from elman.encode.bpe import BytePairVocabulary
from elman.encode.text import ByteVocabulary, CharacterVocabulary, WordVocabulary
from elman.errors import ModelError, UsageError

P = np.array([0.1, 0.4, 0.2, 0.2, 0.1])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.1, 0.4, 0.2, 0.2, 0.1]),
        ({"temperature": 0}, [0, 1, 0, 0, 0]),
        ({"temperature": 0.5}, [1 / 26, 16 / 26, 4 / 26, 4 / 26, 1 / 26]),
        ({"temperature": 2}, np.sqrt(P) / np.sqrt(P).sum()),
        ({"top_k": 2}, [0, 2 / 3, 1 / 3, 0, 0]),
        ({"top_k": 99}, P),
        ({"top_p": 0.3}, [0, 1, 0, 0, 0]),
        ({"top_p": 0.41}, [0, 2 / 3, 1 / 3, 0, 0]),
        ({"top_p": 0.79}, [0, 0.5, 0.25, 0.25, 0]),
        ({"top_k": 3, "top_p": 0.7}, [0, 2 / 3, 1 / 3, 0, 0]),
        ({"forbidden": [1]}, [1 / 6, 0, 1 / 3, 1 / 3, 1 / 6]),
        ({"forbidden": [1], "temperature": 0}, [0, 0, 1, 0, 0]),
    ],
    ids=str,
)
def test_probabilities(options, expected):
    # A constant added to all log-probabilities changes nothing.
    for shift in (0.0, -900.0):
        drawn = probabilities(np.log(P) + shift, **options)
        np.testing.assert_allclose(drawn, expected, rtol=1e-10, atol=0)


def test_zero_probability_is_never_drawn():
    with np.errstate(divide="ignore"):
        log_probs = np.log([0.0, 0.5, 0.0, 0.5, 0.0])
    rng = np.random.default_rng(1)
    assert {sample(log_probs, rng) for _ in range(200)} == {1, 3}


def test_frequencies():
    rng = np.random.default_rng(5)
    counts = np.bincount([sample(np.log(P), rng) for _ in range(10_000)], minlength=5)
    # Five standard deviations of a binomial; the seed makes it the same every time.
    assert np.all(np.abs(counts - 10_000 * P) < 5 * np.sqrt(10_000 * P * (1 - P)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "temperature must be from 0 to 100, found -1"),
        ({"temperature": math.nan}, "temperature must be from 0 to 100, found nan"),
        ({"top_k": -1}, "top_k must be at least 0"),
        ({"top_p": 0}, "top_p must be above 0 and at most 1, found 0"),
        ({"top_p": 1.5}, "top_p must be above 0 and at most 1, found 1.5"),
    ],
    ids=str,
)
def test_bounds(make_chain, options, message):
    with pytest.raises(UsageError, match=message):
        probabilities(np.log(P), **options)
    with pytest.raises(UsageError, match=message):
        generate(make_chain(CharacterVocabulary("a"), "a"), "", length=3, **options)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_damaged_log_probs(value):
    with pytest.raises(ModelError, match="found nan or"):
        probabilities([0.0, value])


def test_nothing_left():
    with pytest.raises(ModelError, match="found none"):
        probabilities([0.0, -np.inf], forbidden=[0])


VOCABULARIES = {
    "byte": (ByteVocabulary(), "aé字🙂 "),
    "character": (CharacterVocabulary("aé字🙂 \n"), "aé字🙂 "),
    "word": (WordVocabulary([" aé", "字", " 🙂", " "]), "aé字🙂 "),
    "bpe": (BytePairVocabulary("aé字🙂 ", [(" ", "a"), (" a", "é")]), "aé字🙂 "),
}


@pytest.mark.parametrize("length", [0, 1, 7, 64])
@pytest.mark.parametrize("level", VOCABULARIES)
def test_generate_gives_exactly_length_characters(make_chain, level, length):
    predictor = make_chain(*VOCABULARIES[level])
    pieces = list(generate(predictor, "aé", length=length, seed=3))
    assert all(pieces)
    assert len("".join(pieces)) == length
    assert pieces == list(generate(predictor, "aé", length=length, seed=3))
    if length == 64:
        assert pieces != list(generate(predictor, "aé", length=length, seed=4))


def test_generate_never_splits_or_invents_characters(make_table):
    # A chain that can only write the bytes of one character after another.
    vocabulary = ByteVocabulary()
    table = np.zeros((8192, 256))
    text = "字é".encode()
    for before, last, after in zip(
        (text[-2:] + text), (text[-1:] + text), text + text, strict=False
    ):
        table[(31 * before + last) % 8192, after] = 1.0
    pieces = list(generate(make_table(vocabulary, table), "é", length=5, seed=0))
    assert pieces == ["字", "é", "字", "é", "字"]


def test_unknown_is_never_drawn(make_table):
    vocabulary = CharacterVocabulary("ab")
    predictor = make_table(vocabulary, np.tile([0.98, 0.01, 0.01], (97, 1)))
    assert set("".join(generate(predictor, "a", length=50))) == {"a", "b"}


def test_space_at_the_end_of_the_prompt_belongs_to_the_next_word(make_table):
    vocabulary = WordVocabulary(["a", " a", " b", "b"])
    predictor = make_table(vocabulary, np.tile([0.0, 0.4, 0.2, 0.1, 0.3], (97, 1)))
    assert "".join(generate(predictor, "a ", length=3, temperature=0)) == "aaa"
    assert predictor.read[:3] == [1, 1, 2]  # begin, the prompt without its space, " a"
    assert "".join(generate(predictor, "a", length=3, temperature=0)) == "aaa"


def test_bytes_drawn_at_random_still_make_whole_characters():
    """Every byte equally likely: nine in ten texts would break within a few bytes."""

    class Uniform(Predictor):
        vocabulary = ByteVocabulary()

        def start(self):
            return None

        def advance(self, state, tokens):
            return np.full((len(tokens), 256), -np.log(256)), None

        def select(self, state, rows):
            return None

    for seed in range(20):
        text = "".join(generate(Uniform(), "", length=50, seed=seed))
        assert len(text) == 50
        assert "\ufffd" not in text
        assert any(len(character.encode()) > 1 for character in text)
