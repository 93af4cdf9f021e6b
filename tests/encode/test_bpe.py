"""Byte-pair encoding against the ``tokenizers`` package, and by hand."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models

from elman.encode.bpe import BytePairVocabulary
from elman.encode.text import build
from elman.encode.words import split

TEXT = "low lower lowest newer newest wider widest, the lowest of the newest\n" * 3 + "आप ভাষা 字体"
VOCABULARY = build("bpe", [TEXT], size=45)


def test_by_hand():
    # a+b occurs 3 times, then ab+c twice, then no pair twice.
    vocabulary = build("bpe", ["abc,abc,abx"])
    assert vocabulary.pieces == [b"", b",", b"a", b"b", b"c", b"x", b"ab", b"abc"]
    assert vocabulary.encode("abcxyab").tolist() == [7, 5, 0, 6]


def test_the_earliest_merge_goes_first():
    vocabulary = BytePairVocabulary("abc", [("b", "c"), ("a", "b"), ("a", "bc")])
    tokens = [vocabulary.pieces[token] for token in vocabulary.encode("abcab")]
    assert tokens == [b"abc", b"ab"]


def test_two_merges_of_one_token():
    vocabulary = BytePairVocabulary("abc", [("a", "b"), ("b", "c"), ("a", "bc"), ("ab", "c")])
    assert vocabulary.pieces == [b"", b"a", b"b", b"c", b"ab", b"bc", b"abc"]


@given(st.text(alphabet="lowernwidst ,\nआপ字", max_size=60) | st.sampled_from(TEXT.split("\n")))
def test_tokens_are_those_of_the_tokenizers_package(text):
    tokens = {piece.decode(): number for number, piece in enumerate(VOCABULARY.pieces) if piece}
    theirs = models.BPE(vocab=tokens, merges=VOCABULARY.to_json()["merges"])
    known = "".join(character for character in text if character in tokens)
    expected = [token.id for piece in split(known) for token in theirs.tokenize(piece)]
    assert VOCABULARY.encode(known).tolist() == expected


def test_tokens_stay_within_pieces_and_characters():
    assert len(VOCABULARY) == 45
    for piece in VOCABULARY.pieces[1:]:
        assert " " not in piece.decode()[1:]


def test_training_is_the_same_in_another_process():
    program = (
        "from elman.encode.text import build\n"
        f"print(build('bpe', [{TEXT!r}], size=45).to_json(), end='')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode() == str(VOCABULARY.to_json())
    assert done.stderr == b""


@pytest.mark.parametrize(("size", "expected"), [(None, 3004), (3003, 3003), (3004, 3004)])
def test_the_alphabet_is_whole(size, expected):
    """Many characters, as in Chinese: all are tokens, then what merges there are."""
    text = "".join(chr(0x4E00 + number) for number in range(3000)) + "ab一ab"
    vocabulary = build("bpe", [text], size=size)
    assert len(vocabulary) == expected
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_rare_characters_are_unknown():
    vocabulary = build("bpe", ["ab ab ab abq"], min_count=2)
    assert b"q" not in vocabulary.pieces
    assert vocabulary.encode("q").tolist() == [0]
