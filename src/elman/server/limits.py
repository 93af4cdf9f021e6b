"""How much the server gives: to all, to one session, to one peer."""

from dataclasses import dataclass

from elman.config import option
from elman.errors import check_bounds

PATIENCE = 1.0  # seconds: for a header, a first message, the rest of a message begun
EARLY = 10.0  # seconds that a connection may say nothing: browsers open them ahead of need
EARLY_ROOM = 64  # such connections at a time; where there are more, each has PATIENCE
RECEIVE_RATE = 64 << 10  # bytes a second that a body must come with once patience is over
SEND_RATE = 4 << 10  # bytes a second that a peer must take
MAX_BODY = 1 << 20  # bytes
MAX_MESSAGE = 1 << 16  # bytes
MAX_FRAGMENTS = 64  # of a message
PINGS = 10  # a second, of a socket
MAX_TEXT = 20_000  # code points of a session, a prompt, a generated text
MAX_CONNECTIONS = 4096
MAX_LATE = 0.25  # seconds that work may wait for a thread before nobody new is let in


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator may choose."""

    sessions: int = option(256, "Open sessions; more are refused.")
    requests: int = option(32, "HTTP requests for text at a time; more are refused.")
    rate: int = option(100, "Messages a second of a session, requests a second of an address.")
    idle: int = option(900, "Seconds without a message after which a session ends.")
    lifetime: int = option(86_400, "Seconds after which a session ends.")
    threads: int = option(1, "Threads that compute; a second makes small models slower.")

    def __post_init__(self) -> None:
        bounds = {
            "sessions": (1, MAX_CONNECTIONS // 2),
            "requests": (1, 1024),
            "rate": (1, 1_000_000),
            "idle": (1, 604_800),
            "lifetime": (1, 31_536_000),
            "threads": (1, 64),
        }
        check_bounds("serve", self, bounds)


class Bucket:
    """``rate`` tokens a second flow in, at most two seconds' worth stay."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate, self._held, self._seen = rate, 2 * rate, now

    def take(self, now: float) -> float:
        """Take one token; return for how many seconds it was missing, and 0 if it was there."""
        self._held = min(2 * self._rate, self._held + (now - self._seen) * self._rate)
        self._seen = now
        if self._held >= 1:
            self._held -= 1
            return 0.0
        return (1 - self._held) / self._rate
