"""What several folders of tests use."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from elman.core import native


def pytest_configure() -> None:
    """A script's ``&`` has its child ignore Ctrl-C, and so what the tests start would ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def memory_of_nans() -> Iterator[None]:
    """What the native core hands out and works in is full of NaN."""
    core: Any = native()
    if core is not None:
        core.fill_memory_with(0xFF)
    yield
    if core is not None:
        core.fill_memory_with(-1)
