"""The most probable words from a model of tokens: a beam search up to the word's end.

A word may be written with several series of tokens, and may end before many different ones. Its
probability is the sum over both. The ends are summed in one product with the tables of
:mod:`elman.decode.pieces`, never enumerated.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.decode.pieces import PieceTable, Shape, shape_of
from elman.decode.tree import Node, Tree


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A word and its probability, given the text and what is typed of the word."""

    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class BeamOptions:
    """How far to search.

    ``width``: unfinished words followed at a time. ``longest``: characters a word may have beyond
    what is typed. ``slack``: an unfinished word is given up when its probability falls below
    this share of the n-th best finished word. At 1 it could still add to a word by another
    tokenisation or end, but be none of the n best; at 0 the search is complete but for ``width``.
    """

    width: int = 24
    longest: int = 24
    slack: float = 0.1


class _Hypothesis(NamedTuple):
    node: Node
    text: bytes
    shape: Shape
    word: str
    probability: float


class WordBeam:
    """One search: the words that begin with ``begun`` after a text already read."""

    def __init__(
        self, tree: Tree, table: PieceTable, begun: str, n: int, options: BeamOptions
    ) -> None:
        self._tree = tree
        self._table = table
        self._begun = begun.encode()
        self._word = begun.removeprefix(" ")
        self._n = n
        self._options = options
        self._found: defaultdict[str, float] = defaultdict(float)
        self._mass = 0.0 if begun else 1.0  # P(begun)

    def search(self, node: Node) -> list[Suggestion]:
        """Return the n best after the text of ``node``."""
        beam = [_Hypothesis(node, b"", Shape.NOTHING, "", 1.0)]
        while beam:
            weights = np.exp([each.node.log_probs for each in beam])  # (K, V), K hypotheses
            weights *= np.array([[each.probability] for each in beam])
            shapes = [each.shape for each in beam]
            self._finish(beam, np.einsum("kv,kv->k", weights, self._table.ends[shapes]))
            beam = self._extend(beam, self._allowed(beam, weights, shapes))
        return self._best()

    def _finish(self, beam: list[_Hypothesis], masses: NDArray[np.float64]) -> None:
        """Give each word the mass (K,) of all tokens before which it ends."""
        for hypothesis, mass in zip(beam, masses.tolist(), strict=True):
            self._add(hypothesis.text, hypothesis.word, mass)

    def _add(self, text: bytes, word: str, mass: float) -> None:
        if mass > 0 and text.startswith(self._begun) and word.startswith(self._word):
            self._found[word] += mass

    def _allowed(
        self, beam: list[_Hypothesis], weights: NDArray[np.float64], shapes: list[Shape]
    ) -> NDArray[np.float64]:
        """Leave the mass of the tokens that carry a word on and agree with what is typed."""
        left = weights * self._table.goes_on[shapes]  # (K, V)
        for row, hypothesis in enumerate(beam):
            rest = self._begun[len(hypothesis.text) :]
            if rest:
                covering = self._table.starting_with(rest)
                self._mass += float(weights[row, covering].sum())
                left[row] = 0
                for kept in (covering, self._table.beginning(rest)):
                    left[row, kept] = weights[row, kept]
        return left

    def _extend(self, beam: list[_Hypothesis], weights: NDArray[np.float64]) -> list[_Hypothesis]:
        """Follow the heaviest extensions."""
        flat = weights.reshape(-1)
        heaviest = np.flatnonzero(flat > self._options.slack * self._nth_best())
        if heaviest.size > self._options.width:
            best = np.argpartition(flat[heaviest], -self._options.width)
            heaviest = heaviest[best[-self._options.width :]]
        longest = len(self._word) + self._options.longest
        pieces, tokens = self._table.pieces, weights.shape[1]
        steps: list[tuple[Node, int]] = []
        kept: list[tuple[bytes, Shape, str, float]] = []
        for index, mass in zip(heaviest.tolist(), flat[heaviest].tolist(), strict=True):
            row, token = divmod(index, tokens)
            text = beam[row].text + pieces[token]
            shape, word = shape_of(text)
            if shape is Shape.CLOSED:
                self._add(text, word, mass)
            elif shape is not Shape.WRONG and len(word) <= longest:
                steps.append((beam[row].node, token))
                kept.append((text, shape, word, mass))
        nodes = self._tree.extend(steps)
        return [_Hypothesis(node, *each) for node, each in zip(nodes, kept, strict=True)]

    def _nth_best(self) -> float:
        if len(self._found) < self._n:
            return 0.0
        return sorted(self._found.values())[-self._n]

    def _best(self) -> list[Suggestion]:
        if self._mass <= 0:
            return []
        words = sorted(self._found.items(), key=lambda item: (-item[1], item[0]))
        return [Suggestion(word, min(1.0, mass / self._mass)) for word, mass in words[: self._n]]
