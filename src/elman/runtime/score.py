"""How well a model predicts a text: total nats, from which every score follows."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError
from elman.runtime.engine import log_softmax
from elman.runtime.model import TextModel

LANE = 100_000  # tokens: a lane's cold start then costs less than 0.001 nats a token
MAX_LANES = 32
WINDOW = 256  # timesteps whose predictions are held at a time


def lanes_of(tokens: int) -> int:
    """In how many lanes a text of so many tokens is scored.

    The state runs through from the first token to the last. Only texts above 200,000 tokens are
    cut into lanes, at least 100,000 long, each of which starts afresh. DataError below two tokens.
    """
    if tokens < 2:
        raise DataError("evaluate", f"a text must have two tokens, found {tokens}; give more")
    return min(MAX_LANES, max(1, tokens // LANE))


def nats(model: TextModel, tokens: NDArray[np.integer]) -> tuple[float, int]:
    """Total surprise in nats of all tokens but the first, and how many there are."""
    count = lanes_of(len(tokens))
    length = (len(tokens) - 1) // count  # predictions in a lane
    lanes = np.stack([tokens[i * length : (i + 1) * length + 1] for i in range(count)], axis=1)
    ids = lanes.astype(np.int64)  # (length + 1, lanes)
    stream = model.tokens(count if count > 1 else None)
    total = 0.0
    for first in range(0, length, WINDOW):
        last = min(first + WINDOW, length)
        y = np.empty((last - first, count, len(model.vocabulary)), model.dtype)
        for step in range(first, last):
            x = ids[step] if count > 1 else ids[step, 0]
            stream.timestep(x, y[step - first] if count > 1 else y[step - first, 0])
        rows = y.reshape(-1, y.shape[-1])
        log_softmax(rows)
        targets = ids[first + 1 : last + 1].reshape(-1)
        total -= float(rows[np.arange(len(rows)), targets].sum(dtype=np.float64))
    return total, length * count


@dataclass(frozen=True, slots=True)
class Score:
    """What a model makes of a text. All logarithms cover the same predictions.

    Perplexity is a token's at the model's own level; ``word_perplexity`` spreads the same nats
    over the words of the text (and its line ends), whatever the level.
    """

    characters: int
    tokens: int
    unknown: int
    nats: float
    words: int

    @property
    def nats_per_character(self) -> float:
        """Nats a character (Unicode code point)."""
        return self.nats / self.characters

    @property
    def bits_per_character(self) -> float:
        """Bits a character."""
        return self.nats_per_character / math.log(2)

    @property
    def perplexity(self) -> float:
        """exp(nats a token)."""
        return _exp(self.nats / self.tokens)

    @property
    def word_perplexity(self) -> float:
        """exp(nats a word), words being what white space separates, and line ends."""
        return _exp(self.nats / self.words)

    def to_json(self) -> dict[str, Any]:
        """Every figure by name."""
        names = (
            "characters",
            "tokens",
            "unknown",
            "words",
            "nats_per_character",
            "bits_per_character",
            "perplexity",
            "word_perplexity",
        )
        return {name: getattr(self, name) for name in names}


def score(model: TextModel, text: str) -> Score:
    """Score ``text``, all but its first token. DataError if it has fewer than two."""
    vocabulary = model.vocabulary
    tokens = vocabulary.encode(text)
    total, count = nats(model, tokens)
    unknown = 0 if vocabulary.unknown is None else int((tokens[1:] == vocabulary.unknown).sum())
    characters = len(text) - len(vocabulary.decode(tokens[:1]))
    words = len(text.split()) + text.count("\n")
    return Score(max(characters, 1), count, unknown, total, max(words, 1))


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
