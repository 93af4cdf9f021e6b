"""How well a model predicts a text: total nats, from which every score follows."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elman.encode.text import Vocabulary
from elman.errors import DataError
from elman.tasks.text.data import Lanes
from elman.tasks.text.model import TextModel

WINDOW = 1024
LANE = 100_000  # tokens: a lane's cold start then costs less than 0.001 nats a token
MAX_LANES = 32


@torch.inference_mode()
def nats(
    model: TextModel, tokens: NDArray[np.integer], windows: int | None = None
) -> tuple[float, int]:
    """Total surprise in nats of all tokens but the first, and how many there are.

    ``windows`` ends the count early.

    The state runs through from the first token to the last. Only texts above 200,000 tokens are
    cut into lanes, at least 100,000 long, each of which starts afresh.
    """
    if len(tokens) < 2:
        raise DataError("evaluate", f"a text must have two tokens, found {len(tokens)}; give more")
    batch = min(MAX_LANES, max(1, len(tokens) // LANE))
    lanes = Lanes(tokens, batch, min(WINDOW, (len(tokens) - 1) // batch))
    device = model.output.weight.device
    model.eval()
    total, count, state = 0.0, 0, None
    for number in range(len(lanes))[:windows]:
        inputs, targets = lanes[number]
        logits, state = model(inputs.to(device), state)
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.to(device).flatten(), reduction="sum"
        )
        total += float(loss)
        count += targets.numel()
    return total, count


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


def score(model: TextModel, vocabulary: Vocabulary, text: str) -> Score:
    """Score ``text``, all but its first token. DataError if it has fewer than two."""
    tokens = vocabulary.encode(text)
    total, count = nats(model, tokens)
    unknown = 0 if vocabulary.unknown is None else int((tokens[1:] == vocabulary.unknown).sum())
    characters = len(text) - len(vocabulary.decode(tokens[:1]))
    words = len(text.split()) + text.count("\n")
    return Score(max(characters, 1), count, unknown, total, max(words, 1))


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
