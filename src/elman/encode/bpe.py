"""Byte-pair encoding over characters (Sennrich et al. 2016, section 3.2), inside words only.

Merges join characters, never bytes, so no token splits a character. They are learnt by the
``tokenizers`` package and applied here in Python, so that a trained model needs NumPy alone.
"""

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.encode.vocabulary import Vocabulary, normalise
from elman.encode.words import split
from elman.errors import UsageError

Merge = tuple[str, str]
DEFAULT_SIZE = 2000


class BytePairVocabulary(Vocabulary):
    """Id 0 is unknown, then the alphabet by code point, then what the merges make, in order."""

    level = "bpe"
    unknown = 0

    def __init__(self, alphabet: str, merges: Iterable[Merge]) -> None:
        self.alphabet = "".join(sorted(set(alphabet)))
        self.merges = list(merges)
        self._ranks = {merge: rank for rank, merge in enumerate(self.merges)}
        # Two merges may make the same token, as a+bc and ab+c do.
        tokens = dict.fromkeys((*self.alphabet, *(left + right for left, right in self.merges)))
        self._ids = {token: number for number, token in enumerate(tokens, start=1)}
        self.pieces = [b"", *(token.encode() for token in tokens)]

    def encode(self, text: str) -> NDArray[np.int32]:
        """Token ids of the NFC of ``text``; a character outside the alphabet is unknown."""
        pieces = split(normalise(text))
        table = {piece: self._encode_piece(piece) for piece in dict.fromkeys(pieces)}
        return np.fromiter((token for piece in pieces for token in table[piece]), np.int32)

    def _encode_piece(self, piece: str) -> list[int]:
        """Apply the earliest learnt merge, leftmost first, until none applies."""
        tokens = list(piece)
        never = len(self._ranks)
        while len(tokens) > 1:
            ranks = [self._ranks.get(pair, never) for pair in pairwise(tokens)]
            best = min(ranks)
            if best == never:
                break
            place = ranks.index(best)
            tokens[place : place + 2] = [tokens[place] + tokens[place + 1]]
        return [self._ids.get(token, 0) for token in tokens]

    def to_json(self) -> dict[str, Any]:
        """The level, the alphabet and the merges; the tokens follow from them."""
        return {"level": self.level, "alphabet": self.alphabet, "merges": self.merges}


def train(texts: Iterable[str], size: int | None, min_count: int) -> BytePairVocabulary:
    """Learn merges from ``texts`` until there are ``size`` tokens or no pair occurs twice.

    Every character that occurs ``min_count`` times is a token. ``size`` None means 2,000 tokens,
    or twice the alphabet where that is more, as for Chinese. Raises :class:`UsageError` if
    ``size`` cannot hold the alphabet.
    """
    counts = Counter(piece for text in texts for piece in split(normalise(text)))
    characters: Counter[str] = Counter()
    for piece, count in counts.items():
        for character in piece:
            characters[character] += count
    alphabet = {character for character, count in characters.items() if count >= min_count}
    least = len(alphabet) + 1
    if size is None:
        size = max(DEFAULT_SIZE, 2 * least)
    if size < least:
        raise UsageError(
            "vocabulary",
            f"size must be at least {least} to hold every character, found {size}; "
            "raise size or min_count",
        )
    known = {piece: count for piece, count in counts.items() if alphabet.issuperset(piece)}
    return BytePairVocabulary("".join(alphabet), _learn(known, size - 1, max(2, min_count)))


def _learn(counts: dict[str, int], size: int, min_count: int) -> list[Merge]:
    """Return the merges, in the order learnt; ``size`` leaves out the unknown token."""
    try:
        from tokenizers import Tokenizer, models, trainers
    except ImportError:
        raise UsageError(
            "vocabulary",
            "building a bpe vocabulary needs the package tokenizers, found none; "
            "pip install 'elman[train]'",
        ) from None
    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=min_count, show_progress=False)
    repeated = ([piece] * count for piece, count in sorted(counts.items()))
    tokenizer.train_from_iterator(repeated, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges]
