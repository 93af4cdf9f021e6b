"""What several folders of tests use."""

from collections.abc import Iterator
from typing import Any

import pytest

from elman.core import native


@pytest.fixture
def memory_of_nans() -> Iterator[None]:
    """What the native core hands out and works in is full of NaN."""
    core: Any = native()
    if core is not None:
        core.fill_memory_with(0xFF)
    yield
    if core is not None:
        core.fill_memory_with(-1)
