"""A predictor made of numbers: the next token depends on the last two and on nothing else."""

import numpy as np
import pytest
from numpy.typing import NDArray

from elman.decode.predictor import Predictor
from elman.encode.text import Vocabulary

State = NDArray[np.int64]


class ChainPredictor(Predictor):
    """P(next | last two tokens) is row ``(31 * before + last) % rows`` of a table (rows, V)."""

    def __init__(self, vocabulary: Vocabulary, table: NDArray[np.float64]) -> None:
        self.vocabulary = vocabulary
        self.table = table
        self.read: list[int] = []

    def start(self) -> State:
        return np.zeros((1, 2), np.int64)

    def advance(self, state: State, tokens: NDArray[np.int32]) -> tuple[NDArray[np.float32], State]:
        assert tokens.dtype == np.int32 and state.shape == (tokens.size, 2)
        if tokens.size == 1:
            self.read.append(int(tokens[0]))
        state = np.stack([state[:, 1], tokens], axis=1)
        rows = (31 * state[:, 0] + state[:, 1]) % len(self.table)
        with np.errstate(divide="ignore"):
            return np.log(self.table[rows]), state

    def select(self, state: State, rows: slice) -> State:
        return state[rows]

    def join(self, states: list[State]) -> State:
        return np.concatenate(states)


def chain(vocabulary: Vocabulary, likely: str, seed: int = 0) -> ChainPredictor:
    """A random chain in which only tokens made of bytes of ``likely`` have a probability."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(len(vocabulary)), size=97)
    allowed = np.array([set(piece) <= set(likely.encode()) for piece in vocabulary.pieces])
    weights = np.where(allowed, weights, 0)
    return ChainPredictor(vocabulary, weights / weights.sum(axis=1, keepdims=True))


@pytest.fixture
def make_chain():
    return chain


@pytest.fixture
def make_table():
    return ChainPredictor
