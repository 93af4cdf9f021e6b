"""What decoding asks of a language model, whatever computes it.

A model has no token for the beginning of a text. Where there is no context at all, a newline
stands for it; a vocabulary without newline uses its first known token.
"""

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from elman.encode.text import Vocabulary
from elman.errors import ModelError

State = Any  # opaque: what a predictor carries from one timestep to the next, a row a text


class Predictor(Protocol):
    """A language model that reads one token of each of N texts at a time."""

    vocabulary: Vocabulary  # the tokens it reads and predicts, V of them

    def start(self) -> State:
        """State of one text (one row) of which nothing was read."""
        ...

    def advance(
        self, state: State, tokens: NDArray[np.int32]
    ) -> tuple[NDArray[np.floating], State]:
        """Read ``tokens`` (N,), one a row: log-probabilities of the next (N, V), new state.

        ``state`` may be used again afterwards and must not change.
        """
        ...

    def step(self, state: State, token: int) -> tuple[NDArray[np.float64], State]:
        """The same of one text: log-probabilities (V,), checked, and the new state."""
        log_probs, state = advance(self, state, np.array([token], np.int32))
        return log_probs[0], state

    def select(self, state: State, rows: slice) -> State:
        """These rows of a state, or a view of them."""
        ...

    def join(self, states: Sequence[State]) -> State:
        """Copy the rows of all ``states``, one after the other."""
        ...


class Wanted(NamedTuple):
    """A timestep that a search waits for: ``tokens`` (N,), read in ``state``, N rows."""

    predictor: Predictor
    state: State
    tokens: NDArray[np.int32]


T = TypeVar("T")
Read = tuple[NDArray[np.float64], State]  # log-probabilities (N, V), the new state
Search = Generator[Wanted, Read, T]  # it does not compute, so that many may do so in one product


def beginning(vocabulary: Vocabulary) -> int:
    """The token that stands for the beginning of a text."""
    newline = vocabulary.encode("\n")
    if newline.size != 1 or newline[0] == vocabulary.unknown:
        return 0 if vocabulary.unknown != 0 else 1
    return int(newline[0])


def advance(
    predictor: Predictor, state: State, tokens: NDArray[np.int32]
) -> tuple[NDArray[np.float64], State]:
    """Call ``predictor.advance`` and check what it says: shape (N, V), no NaN, no +inf."""
    log_probs, state = predictor.advance(state, tokens)
    expected = (len(tokens), len(predictor.vocabulary))
    if log_probs.shape != expected:
        raise ModelError(
            "predict",
            f"log-probabilities must have shape {expected}, found {log_probs.shape}; "
            "use a vocabulary and a model that belong together",
        )
    check_log_probs(log_probs)
    return np.asarray(log_probs, np.float64), state


def alone(search: Search[T]) -> T:
    """What ``search`` returns, each timestep computed as it is wanted."""
    try:
        wanted = next(search)
        while True:
            wanted = search.send(advance(*wanted))
    except StopIteration as end:
        found: T = end.value
        return found


def together(wanted: Sequence[Wanted]) -> list[Read]:
    """The timesteps of several searches that share a predictor, in one product."""
    if len(wanted) == 1:
        return [advance(*wanted[0])]
    predictor = wanted[0].predictor
    states = predictor.join([each.state for each in wanted])
    log_probs, after = advance(predictor, states, np.concatenate([each.tokens for each in wanted]))
    ends = np.cumsum([len(each.tokens) for each in wanted]).tolist()
    rows = [slice(first, last) for first, last in zip([0, *ends], ends, strict=False)]
    # Copies: a search that keeps its rows must not keep those of all others.
    return [
        (log_probs[some].copy(), predictor.join([predictor.select(after, some)])) for some in rows
    ]


def check_log_probs(log_probs: NDArray[np.floating]) -> None:
    """Raise :class:`ModelError` at NaN or +inf; -inf is a probability of 0."""
    if not log_probs.max(initial=-np.inf) < np.inf:  # the maximum with a nan is nan
        raise ModelError(
            "predict",
            "log-probabilities must be numbers or -inf, found nan or +inf; "
            "the model is damaged or has diverged, use an earlier checkpoint",
        )
