"""The rule that cuts text into pieces."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from elman.encode.words import last_break, split, split_typed, word_of

# Arbitrary Unicode, and texts of the characters that the rule treats in different ways.
MIXED = "ab1 '-\u2019\u200d\n\r\t\u0301.<unk>字のカ\u3099ไ้🙂"
TEXT = st.text() | st.text(alphabet=MIXED, max_size=40)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("I don't know", ["I", " don't", " know"]),
        ("a well-known 'quote'", ["a", " well-known", " '", "quote", "'"]),
        ("wait... what?!", ["wait", "...", " what", "?", "!"]),
        (" = <unk> = \n", [" =", " <unk>", " =", " \n"]),
        ("a  b   c \n\n", ["a", " ", " b", "  ", " c", " \n", "\n"]),
        ("\tx = 3.14\r\n", ["\t", "x", " =", " 3", ".", "14", "\r", "\n"]),
        ("他说カタカナです", ["他", "说", "カタカナ", "で", "す"]),
        ("हिन्दी में", ["हिन्दी", " में"]),
        ("தமிழ் மொழி", ["தமிழ்", " மொழி"]),
        ("ภาษาไทย ที่", ["ภาษาไทย", " ที่"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("❤\ufe0f ok", ["❤\ufe0f", " ok"]),
        ("naïve café_au", ["naïve", " café", "_", "au"]),
        ("x" * 65, ["x" * 64, "x"]),
        ("𝒳𐐷 𠀀", ["𝒳𐐷", " 𠀀"]),
    ],
    ids=ascii,
)
def test_split(text, pieces):
    assert split(text) == pieces


@given(TEXT)
def test_pieces_joined_are_the_text(text):
    assert "".join(split(text)) == text
    assert all(split(text))


@pytest.mark.parametrize("unit", [" ", "a", "a'", "!", "\u0301", "字\u0301", "\t ", "<unk>"])
def test_pieces_are_short_whatever_the_text(unit):
    text = unit * 5000 + "x"
    assert "".join(split(text)) == text
    assert max(map(len, split(text))) <= 64 * 8 + 8


@given(TEXT, TEXT)
@example("a 字", "")
@example("a\n 字", "b")
@example("字don'", "t")
@example("字 <un", "k>")
def test_nothing_typed_later_changes_what_is_before_the_last_break(text, more):
    cut = last_break(text)
    assert split(text[:cut]) + split(text[cut:] + more) == split(text + more)


@given(TEXT)
def test_what_is_settled_and_what_is_begun_make_the_text(text):
    settled, begun = split_typed(text)
    assert settled + begun == text
    # What is settled is cut as it is in the whole text.
    assert split(settled + begun + "x")[: len(split(settled))] == split(settled)


@pytest.mark.parametrize(
    ("typed", "begun"),
    [
        ("", ""),
        ("hel", "hel"),
        ("say hel", " hel"),
        ("say ", " "),
        ("say  ", " "),
        ("say.", ""),
        ("(hel", "hel"),
        ("I don'", " don'"),
        ("it''", ""),
        ("a\n", ""),
        ("他", ""),
        ("他 ab", " ab"),
    ],
)
def test_split_typed(typed, begun):
    assert split_typed(typed) == (typed[: len(typed) - len(begun)], begun)


@pytest.mark.parametrize(
    ("piece", "word"),
    [(" don't", "don't"), ("字", "字"), (" ", None), (".", None), (" <unk>", None), ("a b", None)],
)
def test_word_of(piece, word):
    assert word_of(piece) == word


def test_the_last_break_is_the_last_place_where_a_piece_must_begin():
    """By its rule, letter by letter: before white space, after a newline, before an ideograph."""
    draw = random.Random(1)
    for _ in range(20_000):
        text = "".join(draw.choice("ab  \n\t\x1c.'字é") for _ in range(draw.randrange(7)))
        places = [
            i
            for i in range(len(text) + 1)
            if (0 < i < len(text) and not text[i - 1].isspace() and text[i].isspace())
            or (i > 0 and text[i - 1] == "\n")
            or (i < len(text) and text[i] == "字" and text[i - 1 : i] != " ")
        ]
        assert last_break(text) == max(places, default=0), repr(text)
