"""Drawing the next token: temperature, top-k, and top-p (Holtzman et al. 2020, section 3.1)."""

from collections.abc import Iterator
from itertools import compress
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.decode.predictor import Predictor, check_log_probs
from elman.decode.tree import Tree
from elman.encode.text import MAX_TOKENS, StreamDecoder, Vocabulary
from elman.errors import ModelError, UsageError

MAX_TEMPERATURE = 100.0


def probabilities(
    log_probs: ArrayLike,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    forbidden: ArrayLike = (),
) -> NDArray[np.float64]:
    """Turn log-probabilities (V,) into the distribution (V,) to draw from.

    In this order: ``forbidden`` ids get 0; ``p ** (1 / temperature)``, where temperature 0 leaves
    only the most probable token; ``top_k`` keeps the k most probable (0: all); ``top_p`` keeps
    the smallest set of most probable tokens whose mass reaches it, at least one. Of equals the
    lower id comes first.

    Raises :class:`UsageError` for options out of bounds, :class:`ModelError` for NaN, +inf or
    when nothing is left to draw.
    """
    check_options(temperature, top_k, top_p)
    scores = np.array(log_probs, np.float64)  # (V,)
    check_log_probs(scores)
    scores[np.asarray(forbidden, np.intp)] = -np.inf
    best = scores.max(initial=-np.inf)
    if best == -np.inf:
        raise ModelError(
            "sample", "some token must have a probability above 0, found none; use another model"
        )
    if temperature and not top_k and top_p == 1:  # nothing is left out, nothing to be sorted
        everything: NDArray[np.float64] = np.exp((scores - best) / temperature)
        everything /= everything.sum()
        return everything
    order = np.argsort(-scores, kind="stable")
    kept = 1 if temperature == 0 else (top_k or order.size)
    weights = np.exp((scores[order[:kept]] - best) / (temperature or 1.0))
    weights /= weights.sum()
    if top_p < 1:
        reached = int(np.searchsorted(np.cumsum(weights), top_p)) + 1
        weights = weights[:reached] / weights[:reached].sum()
    result = np.zeros_like(scores)
    result[order[: weights.size]] = weights
    return result


def check_options(temperature: float, top_k: int, top_p: float) -> None:
    """Raise :class:`UsageError` unless the sampling options are within their bounds."""
    rules = (
        (
            0 <= temperature <= MAX_TEMPERATURE,
            f"temperature must be from 0 to {MAX_TEMPERATURE:g}",
            temperature,
        ),
        (top_k >= 0, "top_k must be at least 0 (0 keeps all tokens)", top_k),
        (0 < top_p <= 1, "top_p must be above 0 and at most 1", top_p),
    )
    for holds, rule, found in rules:
        if not holds:
            raise UsageError("sample", f"{rule}, found {found}")


def sample(
    log_probs: ArrayLike,
    rng: "np.random.Generator",
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    forbidden: ArrayLike = (),
) -> int:
    """Draw one id from :func:`probabilities`; one random number a call."""
    return draw(log_probs, forbidden, rng.random(), temperature, top_k, top_p)


def draw(
    log_probs: ArrayLike,
    forbidden: ArrayLike,
    uniform: float,
    temperature: float,
    top_k: int,
    top_p: float,
) -> int:
    """The id that a number ``uniform`` from 0 to below 1 draws from :func:`probabilities`."""
    mass = np.cumsum(
        probabilities(
            log_probs, temperature=temperature, top_k=top_k, top_p=top_p, forbidden=forbidden
        )
    )
    # Below the last step of `mass`, so that rounding never draws an id of probability 0.
    return int(np.searchsorted(mass, uniform * mass[-1], side="right"))


# "np.random.Generator" stands in quotes: NumPy loads that part of itself, 10 ms, when it is named.


class Sampling(NamedTuple):
    """How tokens are drawn, as in :func:`probabilities`."""

    temperature: float
    top_k: int
    top_p: float


def sampling(length: int, temperature: float, top_k: int, top_p: float) -> Sampling:
    """Raise :class:`UsageError` unless all options are within bounds, ``length`` among them."""
    check_options(temperature, top_k, top_p)
    if length < 0:
        raise UsageError("generate", f"length must be at least 0, found {length}")
    return Sampling(float(temperature), min(top_k, MAX_TOKENS), float(top_p))


class Pen(Protocol):
    """What draws one token after another."""

    def read(self, token: int) -> None:
        """Go on with ``token``."""
        ...

    def draw(self, forbidden: NDArray[np.intp], most: int) -> int:
        """The next token, none of the ``forbidden`` ids; at most ``most`` are still to come."""
        ...


class TreePen:
    """Goes on from the root of ``tree``, and keeps nothing of it but where it is."""

    def __init__(self, tree: Tree, sampling: Sampling, random: "np.random.Generator") -> None:
        self._tree, self._node = tree, tree.root
        self._sampling, self._random = sampling, random

    def read(self, token: int) -> None:
        """Go on with ``token``."""
        self._node = self._tree.read(self._node.state, token)

    def draw(self, forbidden: NDArray[np.intp], most: int) -> int:
        """The next token."""
        return draw(self._node.log_probs, forbidden, self._random.random(), *self._sampling)


def generate(
    predictor: Predictor,
    prompt: str,
    *,
    length: int,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
) -> Iterator[str]:
    """Yield text that goes on from ``prompt``, complete characters as they are drawn.

    No character is ever broken, whatever the level, and the unknown token is never drawn. Exactly
    ``length`` code points in all: the last piece is cut to fit. The same seed gives the same text.
    Options as in :func:`probabilities`.
    """
    options = sampling(length, temperature, top_k, top_p)
    pen = TreePen(Tree(predictor), options, np.random.default_rng(seed))
    return continuation(pen, predictor.vocabulary, prompt, length)


def continuation(pen: Pen, vocabulary: Vocabulary, prompt: str, length: int) -> Iterator[str]:
    """Yield how the text that the ``pen`` has read, and then ``prompt``, goes on."""
    decoder = StreamDecoder(vocabulary)
    prompt, forbidden, surplus = _leave_space(vocabulary, prompt)
    for token in vocabulary.encode(prompt).tolist():
        pen.read(token)
    while length > 0:
        token = pen.draw(forbidden, length)
        text = decoder.feed(token)[surplus:][:length]
        forbidden, surplus = decoder.barred(), 0
        length -= len(text)
        if text:
            yield text
        pen.read(token)


def _leave_space(vocabulary: Vocabulary, prompt: str) -> tuple[str, NDArray[np.intp], int]:
    """Leave a space at the end of the prompt to the first token, where tokens bring their own.

    ``The `` would be read as ``The`` and a lone space, after which no word follows in training.
    Returns the prompt to read, the ids the first token may not be, the characters to cut off it.
    """
    if not prompt.endswith(" "):
        return prompt, vocabulary.barred, 0
    spaced = [piece.startswith(b" ") for piece in vocabulary.pieces]
    if not any(len(piece) > 1 for piece in compress(vocabulary.pieces, spaced)):
        return prompt, vocabulary.barred, 0
    return prompt[:-1], np.flatnonzero(~np.array(spaced)), 1
