"""The tree of what may come after a text: no series of tokens is read twice."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.decode.predictor import Predictor, Search, State, Wanted, beginning


class Node:
    """A text after one more token.

    ``log_probs`` (V,) of the next token; ``state`` (one row) after the token, ``before`` it and
    the ``token`` itself, from which the rest can be computed again. ``notes`` are what searches
    that begin here have found, for whoever asks again.
    """

    __slots__ = ("before", "children", "log_probs", "notes", "state", "token")

    def __init__(
        self, before: State, token: int, log_probs: NDArray[np.float64], state: State
    ) -> None:
        self.before, self.token = before, token
        self.log_probs, self.state = log_probs, state
        self.children: dict[int, Node] = {}
        self.notes: dict[Hashable, Any] = {}

    def bare(self) -> "Node":
        """The same node without what grew from it."""
        return Node(self.before, self.token, self.log_probs, self.state)


class Tree:
    """Grows from ``root``, a text that was read, along the tokens that are asked for.

    ``start`` is the node of the empty text. ``grown`` counts the nodes since :meth:`settle` or
    :meth:`prune`.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.start = self.read(predictor.start(), beginning(predictor.vocabulary))
        self.root = self.start.bare()
        self.grown = 0

    def read(self, before: State, token: int) -> Node:
        """The node after ``token``, read in the state ``before``."""
        log_probs, state = self._predictor.step(before, token)
        return Node(before, token, log_probs, state)

    def plant(self, node: Node, child: Node) -> Node:
        """Let ``child`` grow from ``node``, unless it is there."""
        self.grown += 1
        return node.children.setdefault(child.token, child)

    def child(self, node: Node, token: int) -> Node:
        """The node after ``node`` and then ``token``."""
        child = node.children.get(token)
        if child is None:
            child = self.plant(node, self.read(node.state, token))
        return child

    def follow(self, tokens: Iterable[int], node: Node | None = None) -> Node:
        """The node at the end of ``tokens`` after ``node``, or after the root."""
        node = node or self.root
        for token in tokens:
            node = self.child(node, token)
        return node

    def settle(self, tokens: Iterable[int]) -> None:
        """Move the root to the end of ``tokens`` and forget what does not go on from there."""
        for token in tokens:
            self.root = self.child(self.root, token)  # and what lies behind is given back
        self.grown = 0 if not self.root.children else self.grown

    def prune(self) -> None:
        """Forget all that grew from the root; its notes stay."""
        self.root.children.clear()
        self.grown = 0

    def extend(self, steps: Sequence[tuple[Node, int]]) -> Search[list[Node]]:
        """The children of nodes by tokens; what is not there yet is wanted in one batch."""
        missing = [(node, token) for node, token in steps if token not in node.children]
        if missing:
            predictor = self._predictor
            states = predictor.join([node.state for node, _ in missing])
            tokens = np.array([token for _, token in missing], np.int32)
            log_probs, after = yield Wanted(predictor, states, tokens)
            for row, (node, token) in enumerate(missing):
                state = predictor.select(after, slice(row, row + 1))
                node.children[token] = Node(node.state, token, log_probs[row], state)
            self.grown += len(missing)
        return [node.children[token] for node, token in steps]
