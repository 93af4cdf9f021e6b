"""The suites: each module says what it measures and yields its rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

from benchmarks.record import Row
from benchmarks.shapes import TABLE, TINY, Shape

NAMES = (
    "timestep",
    "core",
    "training",
    "inference",
    "autocast",
    "ragged",
    "options",
    "trajectory",
    "text",
    "generate",
    "sessions",
    "memory",
    "server",
)


@dataclass(frozen=True)
class Settings:
    """What a run of a suite is told. ``absent`` is filled with what cannot be compared, and why."""

    threads: int
    quick: bool
    absent: dict[str, str]

    def shapes(self, *chosen: Shape) -> tuple[Shape, ...]:
        """The shapes to measure: the chosen ones, or a tiny one for a quick look."""
        return (TINY,) if self.quick else (chosen or TABLE)

    def seconds(self, budget: float) -> float:
        """How long a case may take."""
        return 0.3 if self.quick else budget

    def present(self, name: str, why_not: str) -> bool:
        """Whether a peer is there; if not, that is written down."""
        if why_not:
            self.absent[name] = why_not
        return not why_not


def title(name: str) -> str:
    """The suite's name and its first line."""
    said = import_module(f"benchmarks.suites.{name}").__doc__ or ""
    return f"{name}: {said.splitlines()[0].rstrip('.')}"


def suite(name: str) -> Callable[[Settings], Iterator[Row]]:
    """The function that measures the suite ``name``."""
    rows: Callable[[Settings], Iterator[Row]] = import_module(f"benchmarks.suites.{name}").rows
    return rows
