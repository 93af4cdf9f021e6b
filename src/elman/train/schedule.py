"""Learning-rate schedules: plain objects that say by what to multiply the base rate at a step.

Every schedule first warms up linearly: over ``warmup`` steps the factor rises from ``1 / warmup``
to 1. Steps count from 0. ``state()`` is JSON and ``load(state())`` restores it; all but
:class:`Plateau` are functions of the step alone, so their state is empty.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from elman.errors import ModelError, UsageError


@dataclass
class Constant:
    """Warm-up, then the base rate for ever. The other schedules build on it."""

    warmup: int = 0

    def __post_init__(self) -> None:
        _require(self.warmup >= 0, "warmup must be at least 0 steps", self.warmup)

    def factor(self, step: int) -> float:
        """What the base learning rate is multiplied by at ``step``."""
        rising = (step + 1) / self.warmup if step < self.warmup else 1.0
        return rising * self.settled(step)

    def settled(self, step: int) -> float:
        """The factor but for the warm-up."""
        return 1.0

    def observe(self, loss: float) -> None:
        """Take note of a validation loss; only :class:`Plateau` heeds it."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold to go on exactly."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""


@dataclass
class Cosine(Constant):
    """Half a cosine from 1, where the warm-up ends, to ``floor`` at step ``total``.

    Loshchilov & Hutter (2017), equation 5, without restarts.
    """

    total: int = 1
    floor: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.total > self.warmup, f"total must exceed warmup = {self.warmup}", self.total)
        _require(0 <= self.floor <= 1, "floor must be from 0 to 1", self.floor)

    def settled(self, step: int) -> float:
        """The factor but for the warm-up."""
        done = (step - self.warmup) / (self.total - self.warmup)
        done = min(max(done, 0.0), 1.0)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2


@dataclass
class Step(Constant):
    """Multiply by ``gamma`` at each of ``milestones``, then again ``every`` so many steps.

    Zaremba et al. (2014) train n epochs at the base rate and divide it by 1.2 in each epoch after
    that: ``Step(milestones=(n * steps,), every=steps, gamma=1 / 1.2)`` with ``steps`` an epoch.
    ``every=0`` stops at the last milestone.
    """

    milestones: tuple[int, ...] = ()
    every: int = 0
    gamma: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.milestones = tuple(self.milestones)
        rising = list(self.milestones) == sorted(set(self.milestones))
        _require(bool(self.milestones) and rising, "milestones must rise", self.milestones)
        _require(self.every >= 0, "every must be at least 0 steps", self.every)
        _require(0 < self.gamma <= 1, "gamma must be above 0 and at most 1", self.gamma)

    def settled(self, step: int) -> float:
        """The factor but for the warm-up."""
        cuts = bisect_right(self.milestones, step)
        if self.every and step >= self.milestones[-1]:
            cuts += (step - self.milestones[-1]) // self.every
        return float(self.gamma**cuts)


@dataclass
class Plateau(Constant):
    """Multiply by ``gamma`` when the validation loss has not improved ``patience`` times + 1.

    An improvement is a loss below the best so far by more than ``threshold`` (in the loss's own
    unit, since a loss may be negative). The factor never falls below ``floor``.
    """

    gamma: float = 0.5
    patience: int = 0
    threshold: float = 0.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(0 < self.gamma <= 1, "gamma must be above 0 and at most 1", self.gamma)
        _require(self.patience >= 0, "patience must be at least 0", self.patience)
        _require(self.threshold >= 0, "threshold must be at least 0", self.threshold)
        _require(0 <= self.floor <= 1, "floor must be from 0 to 1", self.floor)
        self._best: float | None = None
        self._stalled = 0
        self._factor = 1.0

    def settled(self, step: int) -> float:
        """The factor but for the warm-up."""
        return self._factor

    def observe(self, loss: float) -> None:
        """Take note of a validation loss; one that is not a number counts as no improvement."""
        if math.isfinite(loss) and (self._best is None or loss < self._best - self.threshold):
            self._best, self._stalled = loss, 0
            return
        self._stalled += 1
        if self._stalled > self.patience:
            self._factor = max(self._factor * self.gamma, self.floor)
            self._stalled = 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold to go on exactly."""
        return {"best": self._best, "stalled": self._stalled, "factor": self._factor}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""
        try:
            self._best, self._stalled = state["best"], state["stalled"]
            self._factor = state["factor"]
        except KeyError as error:
            raise ModelError("resume", f"the schedule's state lacks {error}") from error


SCHEDULES: dict[str, type[Constant]] = {
    "constant": Constant,
    "cosine": Cosine,
    "step": Step,
    "plateau": Plateau,
}


def _require(holds: bool, rule: str, found: object) -> None:
    if not holds:
        raise UsageError("schedule", f"{rule}, found {found!r}")
