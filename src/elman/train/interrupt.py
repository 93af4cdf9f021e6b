"""Ctrl-C and SIGTERM that wait for the step to end, so that nothing is lost."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):  # noqa: N818 - it is no error
    """Training was asked to stop, and has saved a checkpoint. ``signal`` tells by what."""

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"interrupted by signal {number} at step {step}")
        self.signal = number
        self.step = step


class Interrupt:
    """Context manager: the first signal is noted in ``received``, the second acts as usual.

    Inside ``with interrupt.at_once():``, where nothing can be lost, the first one raises
    KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self.received = 0
        self._at_once = False

    def __enter__(self) -> "Interrupt":
        self._before = [signal.getsignal(each) for each in SIGNALS]
        for each in SIGNALS:
            signal.signal(each, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal raise KeyboardInterrupt inside this block."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()
        if self._at_once:
            raise KeyboardInterrupt

    def _restore(self) -> None:
        for each, handler in zip(SIGNALS, self._before, strict=True):
            signal.signal(each, handler)
