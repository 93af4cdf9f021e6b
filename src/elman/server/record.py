"""What is kept of a session, so that any server may go on with it."""

import json
from array import array
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

from elman.errors import DataError
from elman.server.limits import MAX_TEXT
from elman.server.schema import MAX_INTEGER, Field, check

Fields = dict[bytes, bytes]
_HEAD = {
    "model": Field("string", 1, 200),
    "number": Field("integer", 0, MAX_INTEGER),
    "full": Field("boolean"),
    "began": Field("number", 0, MAX_INTEGER),
}


@dataclass(frozen=True, slots=True)
class Record:
    """A session after edit ``number``: its text, the nats of each character, the stream's bytes.

    ``began``: seconds since 1970. ``full``: the text took no more, and waits for a reset.
    """

    model: str
    number: int
    text: str
    nats: tuple[float, ...]
    state: bytes
    began: float
    full: bool = False

    def fields(self) -> Fields:
        """As bytes, for a store outside the process."""
        head = {name: getattr(self, name) for name in _HEAD}
        return {
            b"head": json.dumps(head).encode(),
            b"text": self.text.encode(),
            b"nats": array("d", self.nats).tobytes(),
            b"state": self.state,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> "Record":
        """Inverse of :meth:`fields`; :class:`~elman.errors.DataError` for anything else."""
        try:
            head = check("session", _HEAD, json.loads(fields[b"head"]))
            text, nats = fields[b"text"].decode(), array("d")
            nats.frombytes(fields[b"nats"])
            state = fields[b"state"]
        except (KeyError, ValueError) as error:
            raise _damaged() from error
        if len(text) != len(nats) or len(text) > MAX_TEXT or not all(map(isfinite, nats)):
            raise _damaged()
        return cls(text=text, nats=tuple(nats), state=state, **head)


def _damaged() -> DataError:
    return DataError("session", "the session that was kept is damaged; begin another")


class Store(Protocol):
    """Keeps records by the session's id. A session has one owner: the last socket that took it."""

    async def take(self, session: str, owner: str) -> Record | None:
        """Make ``owner`` the owner and return the record; None where there is none."""
        ...

    async def save(self, session: str, owner: str, record: Record) -> bool:
        """Keep the record, all of it or nothing; False if somebody else has taken the session."""
        ...

    async def remove(self, session: str, owner: str) -> None:
        """Forget the session, unless somebody else has taken it."""

    async def ready(self) -> bool:
        """Whether the store can be reached."""
        ...

    async def close(self) -> None:
        """Let go of what the store holds open."""


class MemoryStore:
    """Records in this process, ``most`` in all, for ``idle`` seconds after the last change."""

    def __init__(self, idle: float, most: int, clock: "Clock") -> None:
        self._idle, self._most, self._clock = idle, most, clock
        self._held: dict[str, tuple[str, Record, float]] = {}  # the longest unused first

    async def take(self, session: str, owner: str) -> Record | None:
        """Make ``owner`` the owner and return the record; None where there is none."""
        self._expire()
        if session not in self._held:
            return None
        _, record, _ = self._held[session]
        self._keep(session, owner, record)
        return record

    async def save(self, session: str, owner: str, record: Record) -> bool:
        """Keep the record; False if somebody else has taken the session."""
        if session in self._held and self._held[session][0] != owner:
            return False
        self._keep(session, owner, record)
        self._expire()
        return True

    async def remove(self, session: str, owner: str) -> None:
        """Forget the session, unless somebody else has taken it."""
        if session in self._held and self._held[session][0] == owner:
            del self._held[session]

    async def ready(self) -> bool:
        """Memory is always there."""
        return True

    async def close(self) -> None:
        """Nothing is open."""

    def _keep(self, session: str, owner: str, record: Record) -> None:
        self._held.pop(session, None)
        self._held[session] = (owner, record, self._clock())

    def _expire(self) -> None:
        """Forget what is too old, or too much; the oldest stand first."""
        while self._held:
            oldest = next(iter(self._held))
            fresh = self._clock() - self._held[oldest][2] <= self._idle
            if fresh and len(self._held) <= self._most:
                return
            del self._held[oldest]


class Clock(Protocol):
    """Seconds since some moment."""

    def __call__(self) -> float:
        """Now."""
        ...
