"""Reading a text while it is typed: what is settled is read once, what may still change is kept.

A letter may yet get an accent, and a word be cut into other tokens when it goes on. Up to the last
break (:func:`elman.encode.words.last_break`) nothing changes any more.
"""

import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from elman.decode.pieces import PieceTable
from elman.decode.predictor import Predictor
from elman.decode.tree import Node, Tree
from elman.encode.text import normalise
from elman.encode.vocabulary import MAX_PIECE
from elman.encode.words import last_break, split, split_typed

LETTERS = ("byte", "character")  # levels at which no token is longer than a character
AT_ONCE = 64  # pieces that were written, before they are looked at


class Surprise(NamedTuple):
    """A character and how unexpected it was, in nats: -ln of its probability."""

    character: str
    nats: float


class Reader:
    """Follows a text through the :attr:`tree` of a predictor.

    Fed in any pieces it does and says the same.
    """

    def __init__(self, predictor: Predictor, table: Callable[[], PieceTable]) -> None:
        """``table`` of the vocabulary is asked for when a word begun is measured."""
        self.vocabulary, self._table = predictor.vocabulary, table
        self._letters = self.vocabulary.level in LETTERS
        self._tree = Tree(predictor)
        self.reset()

    def reset(self) -> None:
        """Go back to the beginning."""
        self.go_on(self._tree.start.bare(), "")

    def go_on(self, root: Node, typed: str) -> None:
        """Stand after the settled text of ``root`` and then ``typed``."""
        self._tree.root, self._typed = root, typed
        self._written: list[str] = []  # after `_typed`, and not yet looked at
        # Of `typed`: its tokens, the nats of each, and the node behind them. None: not looked at.
        self._tokens: list[int] = []
        self._nats: list[float] = []
        self._tip: Node | None = None if typed else root

    @property
    def tree(self) -> Tree:
        """Its root is what is settled."""
        self._take()
        return self._tree

    @property
    def typed(self) -> str:
        """What is not settled: the end of the text."""
        self._take()
        return self._typed

    def skip(self, text: str) -> None:
        """Add text, and say nothing of it."""
        normalise(text)  # refuses half a surrogate pair before anything changes
        self.write(text)
        self._take()

    def write(self, text: str) -> None:
        """Add text that a model wrote. It is looked at when somebody asks, or there is much."""
        self._written.append(text)
        if len(self._written) == AT_ONCE:
            self._take()

    def read(self, node: Node) -> None:
        """Go on with a token by itself, read after the :attr:`tip`: ``node`` is behind it.

        It is text like any other where the text, as it stands, has this token. Else what is typed
        ends before it, and what comes next begins behind it.
        """
        tip, text = self.tip, self.vocabulary.texts[node.token]
        typed = self._typed + text
        sound = text and normalise(typed) == typed
        if sound and self._as_it_stands(typed) == [*self._tokens, node.token]:
            self._tree.plant(tip, node)
            self.write(text)
        else:
            self.go_on(node, "")

    def _take(self) -> None:
        """Look at what was written."""
        if self._written:
            self._typed = normalise(self._typed + "".join(self._written))
            self._written.clear()
            self._tip = None
            self._settle()

    def feed(self, text: str) -> list[Surprise]:
        """Add text: one :class:`Surprise` a character of it, in order.

        Their sum is the surprise of the text as far as it is read. Where tokens are longer than
        characters, a word begun counts as the sum over all tokens that go on with it: each
        character has what it rules out. A character that makes what came before it likelier has
        less than 0: an accent that joins its letter, say.
        """
        normalise(text)  # refuses half a surrogate pair before anything changes
        return [Surprise(character, self._feed(character)) for character in text]

    @property
    def tip(self) -> Node:
        """The node after everything that was fed."""
        self._take()
        if self._tip is None:
            self._look()
        assert self._tip is not None
        return self._tip

    def _feed(self, character: str) -> float:
        tip, tokens, before = self.tip, self._tokens, self._nats
        typed = self._typed + character
        apart = character.isascii() or unicodedata.is_normalized("NFC", typed)
        if self._letters and apart:
            self._typed = typed
            added: list[float] = []
            for token in self.vocabulary.encode(character).tolist():
                added.append(-float(tip.log_probs[token]))
                tokens.append(token)
                tip = self._tree.child(tip, token)
            self._tip = tip
            before.extend(added)
            nats = sum(added)
        else:
            self._typed = normalise(typed)
            self._look()
            nats = sum(self._nats) - sum(before)
        self._settle()
        return nats

    def _look(self) -> None:
        """Read what is typed as if it ended here."""
        node, begun = self._tree.root, self._cut(self._typed)[1]
        self._tokens, self._nats = self._as_it_stands(self._typed), []
        for token in self._tokens:
            self._nats.append(-float(node.log_probs[token]))
            self._parent, node = node, self._tree.child(node, token)
        if begun:
            self._nats[-1] = self._begun(begun)
        self._tip = node

    def _cut(self, typed: str) -> tuple[str, str]:
        """What is typed, and the word begun at its end."""
        return (typed, "") if self._letters else split_typed(typed)

    def _as_it_stands(self, typed: str) -> list[int]:
        """The tokens of what is typed, as if it ended here."""
        return [
            token for part in self._cut(typed) for token in self.vocabulary.encode(part).tolist()
        ]

    def _begun(self, begun: str) -> float:
        """Nats of any token that goes on with the last one of ``begun``, or of the unknown one."""
        token, unknown = self._tokens[-1], self.vocabulary.unknown
        whole = self.vocabulary.level == "word"
        text = begun.encode() if whole else self.vocabulary.pieces[token]
        ids = self._table().starting_with(text) if text else np.array([], np.intp)
        if unknown is not None and (whole or token == unknown):
            ids = np.append(ids, unknown)
        with np.errstate(divide="ignore"):
            return -float(np.log(np.exp(self._parent.log_probs[ids]).sum()))

    def _settle(self) -> None:
        """Move the root of the tree to where nothing changes any more."""
        end = _settled(self._typed)
        if not end:
            return
        tokens = self.vocabulary.encode(self._typed[:end]).tolist()
        self._tree.settle(tokens)
        self._typed = self._typed[end:]
        if self._tip is not None:
            del self._tokens[: len(tokens)], self._nats[: len(tokens)]


def _settled(typed: str) -> int:
    """How many characters cannot change; a text without any space is settled all the same."""
    end = last_break(typed)
    if len(typed) - end > 2 * MAX_PIECE:
        for piece in split(typed[end:]):
            if end + len(piece) > len(typed) - MAX_PIECE:
                break
            end += len(piece)
    return end
