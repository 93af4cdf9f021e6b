"""How many keystrokes suggestions save: the measure of predictive text.

Keystroke savings are ``(keys without - keys with) / keys without`` (Garay-Vitoria & Abascal 2006;
Trnka & McCoy 2008).
"""

from dataclasses import dataclass

from elman.decode.predictor import Predictor
from elman.decode.suggest import Suggester
from elman.decode.wordsearch import SearchOptions
from elman.encode.text import normalise
from elman.encode.words import split, word_of
from elman.errors import DataError, UsageError


@dataclass(frozen=True, slots=True)
class Score:
    """What suggestions did for one text.

    ``accuracy_at_1`` and ``accuracy_at_n``: the share of words that were the first, or among the
    n, offered before their first letter.
    """

    words: int
    keystrokes_normal: int
    keystrokes_used: int
    savings: float
    accuracy_at_1: float
    accuracy_at_n: float


def keystrokes(
    predictor: Predictor,
    text: str,
    *,
    n: int = 3,
    max_words: int | None = None,
    options: SearchOptions | None = None,
) -> Score:
    """Type ``text`` as a user would who takes a suggestion as soon as it is the word.

    Without suggestions each character is one keystroke, newlines and punctuation included. With
    them, n words are offered before the first letter of a word and after every letter; taking
    one is one keystroke and types the rest of the word and a space. Where the text goes on
    without a space (``word,``), the space is taken back by itself: it saves nothing and costs
    nothing. The words offered depend on the true text so far and nothing else. The text ends
    after ``max_words`` words, if given.

    Raises :class:`DataError` if the text holds no word.
    """
    if max_words is not None and max_words < 1:
        raise UsageError("keystrokes", f"max_words must be at least 1, found {max_words}")
    user = _User(Suggester(predictor, options), n)
    for piece in split(normalise(text)):
        user.type(piece)
        if user.words == max_words:
            break
    if not user.words:
        raise DataError("keystrokes", "the text must hold at least one word, found none")
    return user.score()


class _User:
    """Counts while typing one piece after the other."""

    def __init__(self, suggester: Suggester, n: int) -> None:
        self._suggester = suggester
        self._n = n
        self._normal = self._used = self._first = self._among = 0
        self._space_is_there = False  # typed by the suggestion taken last
        self.words = 0

    def type(self, piece: str) -> None:
        """Type one piece of text with as few keys as the suggestions allow."""
        self._normal += len(piece)
        if self._space_is_there and piece.startswith(" "):
            self._used -= 1
        self._space_is_there = False
        word = word_of(piece)
        if word is None:
            self._suggester.feed(piece)
            self._used += len(piece)
            return
        space = piece[: -len(word)]
        self._suggester.feed(space)
        self._used += len(space) + self._type_word(word)
        self.words += 1

    def _type_word(self, word: str) -> int:
        """Return the keys that ``word`` took."""
        for typed, letter in enumerate(word):
            offered = [suggestion.text for suggestion in self._suggester.words(self._n)]
            if typed == 0:
                self._first += offered[:1] == [word]
                self._among += word in offered
            if word in offered:
                self._suggester.feed(word[typed:])
                self._space_is_there = True
                return typed + 1
            self._suggester.feed(letter)
        return len(word)

    def score(self) -> Score:
        """Return the counts as shares."""
        return Score(
            words=self.words,
            keystrokes_normal=self._normal,
            keystrokes_used=self._used,
            savings=(self._normal - self._used) / self._normal,
            accuracy_at_1=self._first / self.words,
            accuracy_at_n=self._among / self.words,
        )
