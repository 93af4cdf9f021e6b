"""Search for the most probable words in a model of any tokens: the likeliest beginnings first.

A word may be written with several series of tokens, and may end before many different ones. Its
probability is the sum over both. The ends are summed in one product with the tables of
:mod:`elman.decode.pieces`, never enumerated.

What begins a word is at least as probable as the word. Beginnings are therefore read in the order
of their probability, as Dijkstra (1959) visits places, some at a time, and no longer than one of
them could still become one of the n best.
"""

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.decode.pieces import PieceTable, Shape, shape_of
from elman.decode.predictor import Search
from elman.decode.tree import Node, Tree

TOGETHER = 8  # beginnings read in one product: a row alone costs more than twice as much


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A word and its probability, given the text and what is typed of the word."""

    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How far to search.

    ``most``: beginnings that are read beyond what is typed. ``longest``: characters a word may
    have beyond what is typed. ``share``: a beginning is given up when its probability falls below
    this share of the n-th best finished word; at 1 it can become none of the n best, unless
    another series of tokens writes the same word. ``slack``: the share below which it is given up
    even where it adds to one of the n best, or to a word that has half of the n-th best: what
    their probabilities may lack. With a share of 0 the search is complete but for ``most``.
    """

    most: int = 512
    longest: int = 24
    share: float = 1.0
    slack: float = 0.03


class _Beginning(NamedTuple):
    node: Node
    text: bytes
    shape: Shape
    word: str
    probability: float


_Step = tuple[float, int]  # what a beginning's probability is, and its place


class WordSearch:
    """One search: the words that begin with ``begun`` after a text already read."""

    def __init__(
        self, tree: Tree, table: PieceTable, begun: str, n: int, options: SearchOptions
    ) -> None:
        self._tree, self._table, self._n, self._options = tree, table, n, options
        self._begun, self._word = begun.encode(), begun.removeprefix(" ")
        self._longest = len(self._word) + options.longest
        # Where nothing is typed a word comes with its space and without: each may have half.
        self._share = options.share if begun else options.share / 2
        self._found: defaultdict[str, float] = defaultdict(float)
        self._nth = 0.0  # probability of the n-th best found
        self._mass = 0.0 if begun else 1.0  # P(begun)
        self._read: list[_Beginning] = []
        # What may be read next: its probability, and V times the number of the beginning that it
        # goes on plus its token.
        self._open, self._places = np.empty(0), np.empty(0, np.intp)

    def search(self, node: Node) -> Search[list[Suggestion]]:
        """Return the n best after the text of ``node``."""
        start = _Beginning(node, b"", Shape.NOTHING, "", 1.0)
        if self._begun:
            yield from self._follow_typed(start)
        else:
            self._look([start])
        end = len(self._read) + self._options.most
        while len(self._read) < end and (steps := self._next()):
            self._look((yield from self._extend(steps)))
        return self._best()

    def _follow_typed(self, start: _Beginning) -> Search[None]:
        """Read what is typed, in the likeliest series of tokens, and find what covers it."""
        fresh, waiting = [start], defaultdict[int, list[_Step]](list)
        while fresh or waiting:
            for each in fresh:
                place = len(self._read) * len(self._table.pieces)
                self._read.append(each)
                rest = self._begun[len(each.text) :]
                covering = self._table.starting_with(rest)
                weights = np.exp(each.node.log_probs[covering]) * each.probability
                self._mass += float(weights.sum())
                self._offer(weights, place + covering)
                for token, size in self._table.beginning(rest):
                    weight = math.exp(each.node.log_probs[token]) * each.probability
                    if weight > 0:
                        waiting[len(each.text) + size].append((weight, place + token))
            fresh = []
            if waiting:  # the shortest: those of one length can be compared
                steps = sorted(waiting.pop(min(waiting)), reverse=True)[:TOGETHER]
                least = self._options.slack * steps[0][0]
                fresh = yield from self._extend([step for step in steps if step[0] >= least])

    def _look(self, fresh: list[_Beginning]) -> None:
        """Find the words that end after these beginnings, and what goes on from them."""
        if not fresh:
            return
        first, tokens = len(self._read), len(self._table.pieces)
        self._read += fresh
        weights = np.exp([each.node.log_probs for each in fresh])  # (K, V), K beginnings
        weights *= np.array([[each.probability] for each in fresh])
        shapes = [each.shape for each in fresh]
        masses = np.einsum("kv,kv->k", weights, self._table.ends.take(shapes, 0))
        for each, mass in zip(fresh, masses.tolist(), strict=True):
            self._add(each.text, each.word, mass)
        weights *= self._table.goes_on.take(shapes, 0)
        flat = weights.reshape(-1)
        (going,) = (flat > self._floor).nonzero()
        self._offer(flat[going], going + first * tokens)

    def _add(self, text: bytes, word: str, mass: float) -> None:
        if mass > 0 and text.startswith(self._begun) and word.startswith(self._word):
            self._found[word] += mass

    @property
    def _floor(self) -> float:
        """What has no more than this is of no use."""
        return min(self._options.slack, self._share) * self._nth

    def _offer(self, masses: NDArray[np.float64], places: NDArray[np.intp]) -> None:
        useful = self._open > self._floor
        self._open = np.concatenate([self._open[useful], masses])
        self._places = np.concatenate([self._places[useful], places])

    def _next(self) -> list[_Step]:
        """Take what is to be read next: the likeliest."""
        if not self._open.size:
            return []
        if len(self._found) >= self._n:
            self._nth = sorted(self._found.values())[-self._n]
        bound, best = self._share * self._nth, self._likeliest()
        masses = self._open[best].tolist()
        if min(masses) <= bound:  # there is room for what only adds to a word
            self._give_up(bound)
            best = self._likeliest()
            masses = self._open[best].tolist()
        self._open[best] = 0
        steps, floor = zip(masses, self._places[best].tolist(), strict=True), self._floor
        return [step for step in steps if step[0] > floor]

    def _likeliest(self) -> NDArray[np.intp]:
        """Where in ``_open`` the largest are."""
        if self._open.size <= TOGETHER:
            return np.arange(self._open.size)
        return self._open.argpartition(-TOGETHER)[-TOGETHER:]

    def _give_up(self, bound: float) -> None:
        """Forget what is below ``bound``, unless it adds to a word with half of the n-th best."""
        near = [word for word, mass in self._found.items() if mass > self._nth / 2]
        ways = {word[:size] for word in near for size in range(len(word) + 1)}
        leads = np.array([each.word in ways for each in self._read])
        kept = self._open > self._floor
        kept &= leads[self._places // len(self._table.pieces)]
        (adding,) = kept.nonzero()
        texts = [self._text(place) for place in self._places[adding].tolist()]
        kept[adding] = [shape_of(text)[1] in ways for text in texts]
        kept |= self._open > bound
        self._open, self._places = self._open[kept], self._places[kept]

    def _text(self, place: int) -> bytes:
        number, token = divmod(place, len(self._table.pieces))
        return self._read[number].text + self._table.pieces[token]

    def _extend(self, steps: list[_Step]) -> Search[list[_Beginning]]:
        """Read these beginnings, but for those that are whole words already, or none."""
        edges: list[tuple[Node, int]] = []
        kept: list[tuple[bytes, Shape, str, float]] = []
        for mass, place in steps:
            number, token = divmod(place, len(self._table.pieces))
            text = self._text(place)
            shape, word = shape_of(text)
            if shape is Shape.CLOSED:
                self._add(text, word, mass)
            elif shape is not Shape.WRONG and len(word) <= self._longest:
                edges.append((self._read[number].node, token))
                kept.append((text, shape, word, mass))
        nodes = yield from self._tree.extend(edges)
        return [_Beginning(node, *each) for node, each in zip(nodes, kept, strict=True)]

    def _best(self) -> list[Suggestion]:
        if self._mass <= 0:
            return []
        words = sorted(self._found.items(), key=lambda item: (-item[1], item[0]))
        return [Suggestion(word, min(1.0, mass / self._mass)) for word, mass in words[: self._n]]
