"""Predictive text: whole words that complete what is typed, and words that may come next."""

from dataclasses import dataclass
from functools import cached_property

from elman.decode.pieces import PieceTable
from elman.decode.predictor import Predictor, Search, alone
from elman.decode.reader import Reader
from elman.decode.wholewords import WholeWords
from elman.decode.wordsearch import SearchOptions, Suggestion, WordSearch
from elman.encode.text import Vocabulary
from elman.encode.words import split_typed
from elman.errors import UsageError

MAX_SUGGESTIONS = 100
MOST_NODES = 256  # that a tree keeps for the next letter; a node is a few kilobytes


@dataclass(frozen=True, slots=True)
class Suggestions:
    """``completions`` of the word being typed, empty outside a word; ``next_words`` after it."""

    completions: list[Suggestion]
    next_words: list[Suggestion]


class Lexicon:
    """What a vocabulary does to words: tables made once, used by any number of suggesters.

    They are made when first needed: who only writes needs none, and they take 0.1 s.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    @cached_property
    def pieces(self) -> PieceTable:
        """How tokens go together with the word being written."""
        return PieceTable(self._vocabulary)

    @cached_property
    def whole(self) -> WholeWords | None:
        """The tokens that are words, of a model of words."""
        return WholeWords(self.pieces) if self._vocabulary.level == "word" else None


class Suggester:
    """Suggests words while a text is typed. Each settled part of the text is read once.

    A word's probability is that of the word and then its end, given the text before it and what
    is typed of it. After a space it is given the space too. Words are as in
    :mod:`elman.encode.words`, whatever the level of the model; the text is read in the tokens
    that the whole of it would have.
    """

    def __init__(
        self,
        predictor: Predictor,
        options: SearchOptions | None = None,
        lexicon: Lexicon | None = None,
    ) -> None:
        self._options = options or SearchOptions()
        self._check_options()
        self._lexicon = lexicon or Lexicon(predictor.vocabulary)
        self.reader = Reader(predictor, lambda: self._lexicon.pieces)

    def _check_options(self) -> None:
        options = self._options
        rules = (
            (1 <= options.most <= 65_536, "most must be from 1 to 65,536", options.most),
            (1 <= options.longest <= 64, "longest must be from 1 to 64", options.longest),
            (0 <= options.share <= 1, "share must be from 0 to 1", options.share),
            (0 <= options.slack <= 1, "slack must be from 0 to 1", options.slack),
        )
        for holds, rule, found in rules:
            if not holds:
                raise UsageError("suggest", f"{rule}, found {found}")

    def feed(self, text: str) -> None:
        """Add typed text: letters, words or pages."""
        self.reader.skip(text)

    def suggest(self, n: int = 3) -> Suggestions:
        """Return up to n completions and up to n words to come after the best of them."""
        return alone(self.suggesting(n))

    def words(self, n: int = 3) -> list[Suggestion]:
        """Return up to n words for this place: completions within a word, else next words."""
        return alone(self._after(*split_typed(self.reader.typed), n))

    def suggesting(self, n: int = 3) -> Search[Suggestions]:
        """As :meth:`suggest`, for whoever computes what several searches want."""
        if self.reader.tree.grown > MOST_NODES:
            self.reader.tree.prune()
        settled, begun = split_typed(self.reader.typed)
        found = yield from self._after(settled, begun, n)
        if not begun.strip(" "):
            return Suggestions([], found)
        space = " " if begun.startswith(" ") else ""
        word = space + found[0].text if found else begun
        return Suggestions(found, (yield from self._after(settled + word, " ", n)))

    def _after(self, settled: str, begun: str, n: int) -> Search[list[Suggestion]]:
        if not 1 <= n <= MAX_SUGGESTIONS:
            raise UsageError("suggest", f"n must be from 1 to {MAX_SUGGESTIONS}, found {n}")
        tree = self.reader.tree
        node = tree.follow(self.reader.vocabulary.encode(settled).tolist())
        if (begun, n) not in node.notes:
            if self._lexicon.whole:
                node.notes[begun, n] = self._lexicon.whole.search(node.log_probs, begun, n)
            else:
                search = WordSearch(tree, self._lexicon.pieces, begun, n, self._options)
                node.notes[begun, n] = yield from search.search(node)
        found: list[Suggestion] = node.notes[begun, n]
        return list(found)


def suggest(
    predictor: Predictor, typed: str, n: int = 3, options: SearchOptions | None = None
) -> Suggestions:
    """Suggest words for ``typed``; to follow a text being typed use :class:`Suggester`."""
    suggester = Suggester(predictor, options)
    suggester.feed(typed)
    return suggester.suggest(n)
