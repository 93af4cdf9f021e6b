"""A stream of text: it reads, is surprised, suggests and writes."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.decode.predictor import Search
from elman.decode.reader import Surprise
from elman.decode.sample import Sampling, continuation, sampling
from elman.decode.suggest import Lexicon, Suggester, Suggestions
from elman.encode.vocabulary import MAX_PIECE
from elman.errors import DataError
from elman.runtime.pen import Pen
from elman.runtime.predictor import NO_TOKEN, RowsPredictor
from elman.runtime.saved import TEXT, numbers, seal, unseal
from elman.runtime.state import State

MAX_TYPED = 4 * 2 * MAX_PIECE  # bytes: what a reader leaves unsettled, and UTF-8's longest letters


class TextStream:
    """One text and what a model makes of it so far; used by one thread at a time.

    Fed in any pieces it says the same, to the last bit: letters that wait for an accent, words
    that are not finished and halves of a token are read as they would be in the whole text.
    """

    def __init__(self, predictor: RowsPredictor, lexicon: Lexicon, fingerprint: bytes) -> None:
        self._predictor, self._lexicon, self._fingerprint = predictor, lexicon, fingerprint
        self._suggester = Suggester(predictor, lexicon=lexicon)
        self._reader = self._suggester.reader

    def feed(self, text: str) -> list[Surprise]:
        """Add text: one ``Surprise(character, nats)`` a character of it, in order.

        The nats are -ln of the character's probability; where tokens are longer than characters
        they are spread over them, see :meth:`elman.decode.reader.Reader.feed`. Raises
        :class:`~elman.errors.DataError` for half a surrogate pair.
        """
        return self._reader.feed(text)

    def timestep(self, x: int | NDArray[np.integer]) -> NDArray[Any]:
        """One timestep: the id of a token, an int or an array ``()``, to the outputs ``(V,)``.

        They are what ``model.tokens()`` gives after the same tokens, before the softmax. What the
        token says is part of the text, as if it had been fed, where the text has this token
        there. Else, and after a part of a character, what was typed ends before the token, and
        what is fed next begins behind it. Raises :class:`~elman.errors.UsageError` for no id.
        """
        y, node = self._predictor.timestep(self._reader.tip.state, x)
        self._reader.read(node)
        return y

    @property
    def state(self) -> State:
        """For each layer a tuple with a copy of each state ``(H,)`` after all that was fed.

        As in :attr:`elman.runtime.Stream.state`. It can be set to such a tuple; the text is then
        forgotten, and what is fed next begins there.
        """
        return self._predictor.state(self._reader.tip.state)

    @state.setter
    def state(self, state: Sequence[Sequence[ArrayLike]]) -> None:
        """Copies; refuses a wrong one as a whole."""
        row = self._predictor.row("TextStream.state", state)
        self._reader.go_on(self._predictor.at(row), "")

    def suggest(self, n: int = 3) -> Suggestions:
        """Up to n completions of the word that is being typed, and words that may come next."""
        return self._suggester.suggest(n)

    def suggesting(self, n: int = 3) -> Search[Suggestions]:
        """As :meth:`suggest`, for whoever computes what several streams want together."""
        return self._suggester.suggesting(n)

    def generate(
        self,
        length: int = 500,
        *,
        prompt: str = "",
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Iterator[str]:
        """Go on with the text: pieces of it as they are drawn, ``length`` characters in all.

        ``prompt`` is added to the text first, as :meth:`feed` does, which also measures it.
        Options as in :func:`elman.decode.sample.generate`. What was yielded is part of the stream;
        to stop early is to stop asking. The stream must not be fed meanwhile.
        """
        options = sampling(length, temperature, top_k, top_p)
        self._reader.skip(prompt)
        return self._write(length, options, np.random.default_rng(seed))

    def _write(
        self, length: int, options: Sampling, random: "np.random.Generator"
    ) -> Iterator[str]:
        reader = self._reader
        pen = Pen(self._predictor, reader.tree, options, random)
        for text in continuation(pen, reader.vocabulary, reader.typed, length):
            reader.write(text)
            yield text

    def hidden(self) -> NDArray[np.float32]:
        """A copy of the last layer's ``h`` ``(H,)`` after all that was fed."""
        return self._predictor.hidden(self._reader.tip.state)

    def reset(self) -> None:
        """Go back to the empty text."""
        self._reader.reset()

    def fork(self) -> "TextStream":
        """Another stream after the same text."""
        twin = TextStream(self._predictor, self._lexicon, self._fingerprint)
        twin._reader.go_on(self._reader.tree.root.bare(), self._reader.typed)
        return twin

    def state_bytes(self) -> bytes:
        """All that the stream knows of its text, for :meth:`restore`.

        It holds the state before the last settled token, that token, and what is typed since; of
        a state that was set, the state itself and no token.
        """
        root, typed = self._reader.tree.root, self._reader.typed.encode()
        before = root.before.astype(root.before.dtype.newbyteorder("<")).tobytes()
        content = root.token.to_bytes(4, "little") + len(typed).to_bytes(4, "little") + typed
        return seal(TEXT, self._fingerprint, content + before)

    def restore(self, state: bytes) -> None:
        """Go on where a stream of the same model, its weights kept alike, gave ``state_bytes``.

        Raises :class:`~elman.errors.DataError` for anything else, and then changes nothing.
        """
        start = self._predictor.start()
        most = 8 + MAX_TYPED + start.nbytes
        content = unseal(TEXT, self._fingerprint, state, most)
        token, size = (int.from_bytes(content[i : i + 4], "little") for i in (0, 4))
        known = token == NO_TOKEN or token < len(self._predictor.vocabulary)
        if not known or size > MAX_TYPED:
            found = f"found token {token} and {size} bytes"
            raise DataError("restore", f"a state must hold a known token and a short text, {found}")
        try:
            typed = content[8 : 8 + size].decode()
        except UnicodeError:
            raise DataError("restore", "a state must hold UTF-8 text, found other bytes") from None
        before = numbers(content[8 + size :], start.shape, start.dtype)
        bare = token == NO_TOKEN
        root = self._predictor.at(before) if bare else self._reader.tree.read(before, token)
        self._reader.go_on(root, typed)
