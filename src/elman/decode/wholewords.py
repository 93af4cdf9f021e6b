"""The most probable words from a model of words: one prediction holds them all."""

import numpy as np
from numpy.typing import NDArray

from elman.decode.pieces import PieceTable
from elman.decode.wordsearch import Suggestion
from elman.encode.words import word_of


class WholeWords:
    """Ranks the tokens that are words; a token is a word from its first to its last letter.

    With its space and without, as after a bracket, a word is two tokens: their mass is summed.
    """

    def __init__(self, table: PieceTable) -> None:
        self._table = table
        found = {token: word_of(piece.decode()) for token, piece in enumerate(table.pieces)}
        self._words = sorted({word for word in found.values() if word})
        numbers = {word: number for number, word in enumerate(self._words)}
        other = len(self._words)  # punctuation, whitespace and unknown
        self._number = np.array([numbers.get(word or "", other) for word in found.values()])

    def search(self, log_probs: NDArray[np.float64], begun: str, n: int) -> list[Suggestion]:
        """Return the n best from log-probabilities (V,) of the token that ``begun`` begins."""
        tokens = self._table.starting_with(begun.encode())
        weights = np.exp(log_probs[tokens])
        mass = float(weights.sum()) if begun else 1.0
        sums = np.bincount(self._number[tokens], weights, minlength=len(self._words) + 1)[:-1]
        best = np.argsort(-sums, kind="stable")[:n]
        return [
            Suggestion(self._words[number], float(sums[number]) / mass)
            for number in best
            if sums[number] > 0
        ]
