"""How tokens go together with the word being written: tables of a vocabulary, made once.

The search of :mod:`elman.decode.wordsearch` asks of thousands of tokens at a time whether they
carry a word on or end it. The first character of the token decides, and what the word ends with.
"""

import codecs
from bisect import bisect_left
from collections import defaultdict
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from elman.encode.text import Vocabulary
from elman.encode.words import JOINERS, ideograph, patterns


class Shape(IntEnum):
    """What a text that should become one word ends with; ``HALF``: within a character.

    ``CLOSED`` has a whole word and something after it, ``WRONG`` can become no word.
    """

    NOTHING = 0
    SPACE = 1
    LETTER = 2
    JOINER = 3
    IDEOGRAPH = 4
    HALF = 5
    CLOSED = 6
    WRONG = 7


class First(IntEnum):
    """What a token begins with; ``HALF``: a part of a character, ``NONE``: the unknown token."""

    SPACE = 0
    LETTER = 1
    MARK = 2
    JOINER = 3
    IDEOGRAPH = 4
    OTHER = 5
    HALF = 6
    NONE = 7


_GOES_ON = {
    Shape.NOTHING: (First.SPACE, First.LETTER, First.IDEOGRAPH, First.HALF),
    Shape.SPACE: (First.LETTER, First.IDEOGRAPH, First.HALF),
    Shape.LETTER: (First.LETTER, First.MARK, First.JOINER, First.HALF),
    Shape.JOINER: (First.LETTER, First.MARK, First.HALF),
    Shape.IDEOGRAPH: (First.MARK, First.HALF),
    Shape.HALF: (First.HALF,),
}
_ENDS = {
    Shape.NOTHING: (),
    Shape.SPACE: (),
    Shape.LETTER: (First.SPACE, First.IDEOGRAPH, First.OTHER),
    Shape.JOINER: (First.SPACE, First.JOINER, First.IDEOGRAPH, First.OTHER),
    Shape.IDEOGRAPH: (First.SPACE, First.LETTER, First.JOINER, First.IDEOGRAPH, First.OTHER),
    Shape.HALF: (),
}


@lru_cache(maxsize=1 << 16)
def shape_of(text: bytes) -> tuple[Shape, str]:
    """Return what ``text`` ends with and the word it holds so far, without leading space.

    A joiner at the end is no part of the word: ``don'`` may yet turn out to be ``don``.
    """
    try:
        whole, half = _decode(text)
    except UnicodeDecodeError:
        return Shape.WRONG, ""
    word = whole.removeprefix(" ")
    match = patterns().word_piece.match(whole)
    if not word:
        shape = Shape.SPACE if whole else Shape.NOTHING
    elif patterns().open_word.fullmatch(word):
        shape = Shape.JOINER if word[-1] in JOINERS else Shape.LETTER
    elif match is None:
        return Shape.WRONG, ""
    else:
        shape = Shape.IDEOGRAPH if match.end() == len(whole) else Shape.CLOSED
    if half and shape is not Shape.CLOSED:
        shape = Shape.HALF
    return shape, match.group(1) if match else ""


def _decode(text: bytes) -> tuple[str, bool]:
    """Return the complete characters of UTF-8 ``text`` and whether part of one is left over."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    whole = decoder.decode(text)
    return whole, bool(decoder.getstate()[0])


def _first_of(piece: bytes) -> First:
    if not piece:
        return First.NONE
    text = piece.decode("utf-8", errors="ignore")
    if not text or piece[0] != text[0].encode()[0]:
        return First.HALF
    if text[0] == " ":
        return First.SPACE
    if patterns().mark.match(text):
        return First.MARK
    if patterns().letter.match(text):
        return First.LETTER
    if text[0] in JOINERS:
        return First.JOINER
    return First.IDEOGRAPH if ideograph().match(text) else First.OTHER


class PieceTable:
    """What each of the V tokens of a vocabulary does to a word.

    ``goes_on[shape]`` and ``ends[shape]`` (V,) are 1 for the tokens that carry a word of that
    shape on, and for those before which it ends, and 0 for the others.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.pieces = vocabulary.pieces
        first = np.array([_first_of(piece) for piece in self.pieces])
        self.goes_on = np.stack([np.isin(first, kinds) for kinds in _GOES_ON.values()]) * 1.0
        self.ends = np.stack([np.isin(first, kinds) for kinds in _ENDS.values()]) * 1.0
        order = sorted(range(len(self.pieces)), key=self.pieces.__getitem__)
        self._order = np.array(order, np.intp)
        self._sorted = [self.pieces[token] for token in order]
        self._ids = defaultdict[bytes, list[int]](list)
        for token, piece in enumerate(self.pieces):
            self._ids[piece].append(token)
        self._longest = max(map(len, self.pieces))

    def starting_with(self, text: bytes) -> NDArray[np.intp]:
        """Ids of the tokens that begin with ``text``."""
        begin = bisect_left(self._sorted, text)
        # 0xff occurs in no UTF-8, so it sorts after whatever may follow.
        end = bisect_left(self._sorted, text + b"\xff" * 2, lo=begin)
        return self._order[begin:end]

    def beginning(self, text: bytes) -> list[tuple[int, int]]:
        """Ids and sizes of the tokens that ``text`` begins with, but is longer than."""
        found: list[tuple[int, int]] = []
        for size in range(1, min(len(text), self._longest + 1)):
            found += [(token, size) for token in self._ids.get(text[:size], ())]
        return found
