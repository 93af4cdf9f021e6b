"""A text that is edited while a model reads it. Computes; knows nothing of sockets."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from elman.decode.suggest import Suggestions
from elman.errors import DataError
from elman.runtime import Batcher, TextModel
from elman.server.limits import MAX_TEXT
from elman.server.record import Record
from elman.server.workers import Turns

SLICE = 64  # characters read in one turn
COLUMNS = 8192  # numbers in one message of hidden states
SUGGESTIONS = 3

Message = dict[str, Any]


class Session:
    """The text, what the model makes of it, and what the client was told.

    A deletion goes back to the state at some place before it. These places (``marks``) lie the
    denser the nearer they are to the end: going back reads again at most about as much as it
    deletes, and 20,000 characters need fewer than forty.
    """

    def __init__(self, name: str, model: TextModel, batcher: Batcher) -> None:
        self.name, self._model, self._batcher = name, model, batcher
        self._stream = model.stream(batcher=batcher)
        self._marks = [(0, self._stream.state_bytes())]
        self.number, self.text, self._nats = 0, "", list[float]()
        self._full = False
        self.began = time.time()
        self.watched = False  # whether the client wants hidden states
        self._shown = 0  # of how many characters it has them
        self._watcher, self._at = model.stream(batcher=batcher), 0

    @classmethod
    def restored(cls, record: Record, model: TextModel, batcher: Batcher) -> "Session":
        """Go on where ``record`` was kept. Raises :class:`~elman.errors.DataError` if it cannot."""
        session = cls(record.model, model, batcher)
        session._stream.restore(record.state)
        session._marks.append((len(record.text), record.state))
        session.number, session.text, session._full = record.number, record.text, record.full
        session._nats, session.began = list(record.nats), record.began
        return session

    @property
    def hidden_size(self) -> int:
        """H, the length of a column."""
        return int(self._model.spec.hidden)

    def record(self) -> Record:
        """What another server needs to go on."""
        return Record(
            model=self.name,
            number=self.number,
            text=self.text,
            nats=tuple(self._nats),
            state=self._marks[-1][1],
            began=self.began,
            full=self._full,
        )

    def started(self, session: str) -> Message:
        """The first message to the client."""
        return {
            "type": "started",
            "session": session,
            "model": self.name,
            "text": self.text,
            "number": self.number,
            "hidden_size": self.hidden_size,
            "surprise": list(self._nats),
        }

    def check(self, number: int, keep: int) -> None:
        """Raise :class:`~elman.errors.DataError` for an edit of another text than this one."""
        if number != self.number + 1:
            raise DataError("edit", f"number must be {self.number + 1}, found {number}")
        if keep > len(self.text) and not self._full:
            raise DataError("edit", f"keep must be at most {len(self.text)}, found {keep}")

    def edit(self, number: int, keep: int, insert: str) -> Turns[Message]:
        """Make the text its first ``keep`` characters and ``insert``; returns what to tell.

        Text beyond :data:`~elman.server.limits.MAX_TEXT` is not taken, nor is anything after it
        until :meth:`reset`: what the client has is no longer what stands here.
        """
        self.check(number, keep)
        self.number = number
        self._full = self._full or keep + len(insert) > MAX_TEXT
        if self._full:
            rule = f"[edit] a text must have at most {MAX_TEXT:,} characters; reset the session"
            return {"type": "error", "error": rule}
        yield from self._back(keep)
        yield from slices(insert, self._read)
        self._mark()
        return {"type": "surprise", "number": number, "from": keep, "nats": self._nats[keep:]}

    def suggestions(self) -> Turns[Message]:
        """What may come next, about the text as it stands."""
        found = yield from self._stream.suggesting(SUGGESTIONS)
        return {"type": "suggestions", "number": self.number, **plain(found)}

    def reset(self) -> None:
        """The empty text; edits are counted on."""
        for _ in self._back(0):
            pass
        self._full = False

    def watch(self, on: bool) -> None:
        """Whether hidden states are wanted: of all that stands, then of all that comes."""
        self.watched, self._shown = on, 0

    @property
    def behind(self) -> bool:
        """Whether the client lacks hidden states that it wants."""
        return self.watched and self._shown < len(self.text)

    def columns(self) -> Turns[Message]:
        """The next hidden states that the client lacks: one message."""
        first = self._shown
        if self._at != first:
            self._at, state = next(mark for mark in reversed(self._marks) if mark[0] <= first)
            self._watcher.restore(state)
        yield from slices(self.text[self._at : first], self._watcher.feed)
        last = min(len(self.text), first + max(1, min(SLICE, COLUMNS // self.hidden_size)))
        columns = []
        for character in self.text[first:last]:
            self._watcher.feed(character)
            columns.append(np.rint(127 * self._watcher.hidden()).astype(int).tolist())
        self._at = self._shown = last
        return {"type": "hidden", "number": self.number, "from": first, "columns": columns}

    def _back(self, keep: int) -> Turns[None]:
        """Make the text its first ``keep`` characters."""
        self._shown = min(self._shown, keep)
        if self._at > keep:
            self._at = -1
        if keep == len(self.text):
            return
        text = self.text
        while self._marks[-1][0] > keep:
            self._marks.pop()
        place, state = self._marks[-1]
        self._stream.restore(state)
        self.text = text[:place]
        del self._nats[place:]
        yield from slices(text[place:keep], self._read)
        self._mark()

    def _read(self, piece: str) -> None:
        self._nats += [round(each.nats, 4) for each in self._stream.feed(piece)]
        self.text += piece
        if len(self.text) - self._marks[-1][0] >= SLICE:
            self._mark()

    def _mark(self) -> None:
        """Remember the state here; forget those between which there is less than to the end."""
        end = len(self.text)
        if self._marks[-1][0] != end:
            self._marks.append((end, self._stream.state_bytes()))
        places = [place for place, _ in self._marks]
        for index in range(len(self._marks) - 2, 0, -1):
            after = places[index + 1]
            if after - places[index - 1] <= (end - after) / 2:
                del self._marks[index], places[index]


def plain(found: Suggestions) -> Message:
    """Suggestions as JSON has them; ``dataclasses.asdict`` takes longer than a timestep."""
    lists = {"completions": found.completions, "next_words": found.next_words}
    return {
        name: [{"text": each.text, "probability": each.probability} for each in words]
        for name, words in lists.items()
    }


def slices(text: str, read: Callable[[str], object]) -> Turns[None]:
    """Have ``text`` read, as much as a turn allows in each."""
    for first in range(0, len(text), SLICE):
        if first:
            yield None
        read(text[first : first + SLICE])
