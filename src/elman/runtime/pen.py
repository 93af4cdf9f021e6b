"""The pen of a stream of text: it draws what ``elman.decode.sample`` would, several tokens a call.

A timestep of a small network takes less than the Python around it, and a large one finds its
weights in the cache where no Python ran in between.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from elman.decode.sample import Sampling
from elman.decode.tree import Node, Tree
from elman.runtime.engine import draw
from elman.runtime.predictor import RowsPredictor
from elman.runtime.rows import Step

AHEAD = 32  # tokens that one call draws
ROOM = 1 << 16  # log-probabilities that it leaves, at most


class Pen:
    """A :class:`~elman.decode.sample.Pen` that goes on from the root of ``tree``.

    The tree grows along what is read. What was drawn ahead stays here: nobody sees it before it
    is asked for, and what is not asked for is lost.
    """

    def __init__(
        self,
        predictor: RowsPredictor,
        tree: Tree,
        sampling: Sampling,
        random: "np.random.Generator",
    ) -> None:
        self._predictor, self._tree, self._sampling = predictor, tree, sampling
        self._random, self._numbers, self._used = random, np.empty(0), 0
        self._node = tree.root
        self._drawn: int | None = None  # from the node
        self._token: int | None = None  # after the node: read when the next one is drawn
        self._ahead: Iterator[Step] = iter(())
        self._forbidden: NDArray[np.intp] | None = None  # when those ahead were drawn
        self._count, self._most = 1, max(1, min(AHEAD, ROOM // len(predictor.vocabulary)))

    def read(self, token: int) -> None:
        """Go on with ``token``: the one drawn last, or another, of a prompt."""
        if token == self._drawn:
            self._token, self._drawn = token, None
            return
        for each in (self._token, token):
            if each is not None:
                self._node = self._tree.child(self._node, each)
        self._token, self._ahead = None, iter(())

    def draw(self, forbidden: NDArray[np.intp], most: int) -> int:
        """The next token; at most ``most`` are still to come."""
        if self._token is None:
            number = float(self._next(1)[0])
            token = draw(self._node.log_probs, forbidden, number, *self._sampling)
        else:
            step = next(self._ahead, None) if forbidden is self._forbidden else None
            token, log_probs, state = step or self._look_ahead(forbidden, most)
            child = Node(self._node.state, self._token, log_probs, state)
            self._node, self._token = self._tree.plant(self._node, child), None
        self._used += 1
        self._drawn = token
        return token

    def _look_ahead(self, forbidden: NDArray[np.intp], most: int) -> Step:
        """Draw several tokens, or one where the next may be of other kinds; return the first."""
        whole = forbidden is self._predictor.vocabulary.barred
        self._count = min(2 * self._count, self._most, most) if whole else 1
        state, numbers = self._node.state, self._next(self._count)
        assert self._token is not None
        compose = self._predictor.rows.compose
        found = compose(state, self._token, forbidden, numbers, self._sampling)
        if found is None:
            log_probs, state = self._predictor.step(state, self._token)
            token = draw(log_probs, forbidden, float(numbers[0]), *self._sampling)
            found = iter([(token, log_probs, state)])
        self._ahead, self._forbidden = found, forbidden
        return next(found)

    def _next(self, count: int) -> NDArray[np.float64]:
        """So many random numbers; what was drawn with them is counted when it is asked for."""
        rest = self._numbers[self._used :]
        if rest.size < count:
            rest = np.concatenate((rest, self._random.random(count - rest.size)))
        self._numbers, self._used = rest, 0
        return rest[:count]
