"""The simulated user against counts made by hand."""

import numpy as np
import pytest

from elman.decode.keystrokes import Score, keystrokes
from elman.encode.text import WordVocabulary
from elman.errors import DataError, UsageError

WORDS = ["\n", " the", "the", " cat", "cat", " can", ".", " sat", " sits", "("]


@pytest.fixture
def predictor(make_table):
    """Always: the 0.3, cat 0.2, sits 0.1, can 0.08, sat 0.07 and so on, whatever came before."""
    row = [0.0, 0.05, 0.25, 0.05, 0.15, 0.05, 0.08, 0.1, 0.07, 0.1, 0.1]
    return make_table(WordVocabulary(WORDS), np.tile(row, (97, 1)))


# (text, n, keys without, keys with, at 1, at n)
BY_HAND = {
    # "the" is offered at once: 1 key, its space too. "cat" is second: 1 key.
    "both-offered": ("the cat", 2, 7, 2, 1 / 2, 1.0),
    # n=1: after "the " (1 key) only "the" is offered; "c" (1) offers "cat" (1).
    "one-offered": ("the cat", 1, 7, 3, 1 / 2, 1 / 2),
    # "can" is never the best before its last letter: c a n = 3 keys, after "the " = 1 key.
    "typed-in-full": ("the can", 1, 7, 4, 1 / 2, 1 / 2),
    # The space after "cat" is taken back: "the " 1, "cat" 1, "." 1, "\n" 1.
    "punctuation": ("the cat.\n", 2, 9, 4, 1 / 2, 1.0),
    # The bracket is typed, the words after it cost 1 each: ( the_ cat.
    "bracket": ("(the cat.", 2, 9, 4, 1 / 2, 1.0),
    # An unknown word costs its letters and its space: "the " 1, "dog" 3, " " 1, "the" 1.
    "unknown": ("the dog the", 2, 11, 6, 2 / 3, 2 / 3),
    # "sat" is third among s-words for n=1: s (sits) a (sat!) -> 2 letters + 1 key.
    "late": ("sat the", 1, 7, 5, 1 / 2, 1 / 2),
    # Two spaces: the suggestion's own is the first of them.
    "two-spaces": ("the  cat", 2, 8, 3, 1 / 2, 1.0),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_by_hand(predictor, case):
    text, n, normal, used, first, among = BY_HAND[case]
    score = keystrokes(predictor, text, n=n)
    assert score.keystrokes_normal == normal
    assert score.keystrokes_used == used
    assert score.savings == pytest.approx((normal - used) / normal)
    assert score.accuracy_at_1 == pytest.approx(first)
    assert score.accuracy_at_n == pytest.approx(among)


def test_max_words(predictor):
    assert keystrokes(predictor, "the cat sat.", max_words=2) == keystrokes(predictor, "the cat")


def test_no_suggestion_saves_nothing(predictor):
    score = keystrokes(predictor, "dogs, dogs")
    assert score == Score(2, 10, 10, 0.0, 0.0, 0.0)


def test_refusals(predictor):
    with pytest.raises(DataError, match="at least one word"):
        keystrokes(predictor, "...\n")
    with pytest.raises(UsageError, match="max_words must be at least 1, found 0"):
        keystrokes(predictor, "the", max_words=0)
