"""What a word is: the one rule that cuts text into pieces, used to encode and to suggest.

A piece is one of these, tried in this order:

* the literal ``<unk>`` of WikiText and the Penn Treebank, with one space before it or none;
* a word: letters, marks and digits, joined by inner apostrophes, hyphens and zero-width joiners
  (``don't``, ``well-known``), with one space before it or none. Marks are part of the word, so
  Hindi, Tamil and Thai vowels stay in place. Scripts written without spaces between words (Thai)
  give one piece a phrase;
* one Han or Hiragana character, a word of its own as in UAX #29. Katakana runs stay whole, as
  there;
* a newline, with one space before it or none;
* a run of one punctuation character or symbol (``...``, ``--``), with one space before it or none;
* other whitespace, but for the one space that belongs to the piece after it.

Joined together the pieces are the text again. Lengths are bounded, so that a text without any
space is cut all the same.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

UNKNOWN_WORD = "<unk>"
# Apostrophes, hyphens, middle dot, Hebrew geresh and gershayim, zero-width joiners.
JOINERS = "'\u2019-\u2010\u2011\u00b7\u05f3\u05f4\u200c\u200d"
_VARIATION_SELECTORS = "\U000e0100-\U000e01ef"
# Beyond the basic plane whole blocks of scripts count as letters: exact ranges, hundreds of them,
# make `re` four times slower on all text.
_HIGH_LETTERS = (
    "\U00010000-\U0001cfff\U0001d400-\U0001d7ff\U0001e000-\U0001eeff\U0001fbf0-\U0001fbf9"
    + _VARIATION_SELECTORS
)
_IDEOGRAPH = (
    "["
    "\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3041-\u3096\u309d-\u309f"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "]"
)


@cache
def ideograph() -> re.Pattern[str]:
    """What matches one Han or Hiragana character. Expressions are made when first needed."""
    return re.compile(_IDEOGRAPH)


@cache
def _breaks() -> re.Pattern[str]:
    return re.compile(rf"(?<=\S)(?=\s)|(?<=\n)|(?<! )(?={_IDEOGRAPH})")


def _ranges(code_points: Iterable[int]) -> str:
    """Write sorted code points as the inside of a regular expression's ``[...]``."""
    runs: list[list[int]] = []
    for code in code_points:
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(rf"\u{first:04x}-\u{last:04x}" for first, last in runs)


def _letters_and_marks() -> tuple[str, str]:
    """Build the classes that ``re`` lacks: (letters, marks and digits), (marks)."""
    kinds = list(map(unicodedata.category, map(chr, range(0x10000))))
    words = "".join(chr(code) for code, kind in enumerate(kinds) if kind[0] in "LMN")
    # Surrogates are of another kind, so that this is a text like any other.
    letters = map(ord, ideograph().sub("", words))
    marks = (code for code, kind in enumerate(kinds) if kind[0] == "M")
    return f"[{_ranges(letters)}{_HIGH_LETTERS}]", f"[{_ranges(marks)}{_VARIATION_SELECTORS}]"


class Patterns(NamedTuple):
    """The expressions that need the classes of all letters and marks."""

    piece: re.Pattern[str]
    word_piece: re.Pattern[str]
    open_word: re.Pattern[str]
    letter: re.Pattern[str]
    mark: re.Pattern[str]


@cache
def patterns() -> Patterns:
    """Made when first needed, too: it takes 80 ms, and who only steps numbers needs none."""
    letter, mark = _letters_and_marks()
    joiner = f"[{re.escape(JOINERS)}]"
    word = f"{letter}{{1,64}}(?:{joiner}{letter}{{1,64}}){{0,7}}"
    ideograph = f"{_IDEOGRAPH}{mark}{{0,8}}"
    blank = r"[^\S\n]"
    piece = (
        rf" ?(?:{UNKNOWN_WORD}|{word}|{ideograph}|\n)"
        rf"| ?(\S)\1{{0,31}}{mark}{{0,8}}"
        rf"|{blank}{{1,32}}?(?= ?[\n\S])|{blank}{{1,32}}"
    )
    made = (piece, rf" ?({word}|{ideograph})", rf"{word}{joiner}?", letter, mark)
    return Patterns(*map(re.compile, made))


def split(text: str) -> list[str]:
    """Cut text into pieces; ``"".join(split(text)) == text`` for every text."""
    return [match.group() for match in patterns().piece.finditer(text)]


def word_of(piece: str) -> str | None:
    """Return the word a piece holds, without its leading space, or None if it holds none."""
    match = patterns().word_piece.fullmatch(piece)
    return match and match.group(1)


def last_break(text: str) -> int:
    """Return the last index at which a piece starts whatever text comes after.

    What lies before it can be encoded for good; what lies after may still change, as ``don'``
    does when ``t`` follows.
    """
    rest = text[1:]
    if text.isascii() and text[:1] != "\n" and [rest] in (rest.split(), [""]):
        return 0  # a word that is being typed, which is asked for at every letter
    start = 0
    for match in _breaks().finditer(text):
        start = match.start()
    return start


def split_typed(text: str) -> tuple[str, str]:
    """Cut text that is still being typed into what is settled and what is begun.

    The second part is the word being typed with its leading space; a single space, which the
    next word will take; or nothing. A word's end may be a joiner (``don'``). A Han or Hiragana
    character is a whole word, and so counts as settled.
    """
    if text.endswith(" "):
        return text[:-1], " "
    pieces = split(text)
    begun = 2 if len(pieces) > 1 and pieces[-1] in JOINERS else 1
    tail = "".join(pieces[-begun:])
    if patterns().open_word.fullmatch(tail.removeprefix(" ")):
        return text[: len(text) - len(tail)], tail
    return text, ""
