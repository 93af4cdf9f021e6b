"""The protocol between a task and the training loop."""

from pathlib import Path
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn


class Loss(NamedTuple):
    """What one batch gives: its mean loss in nats, the state after it, and how much it covered."""

    loss: Tensor
    state: Any
    units: float


class Task(Protocol):
    """Anything ``elman.train`` can train.

    ``unit`` is what the throughput counts ("characters"). Batches of an epoch are numbered and
    are a function of (epoch, number) alone, so that training can go on from any of them.
    """

    name: str
    unit: str

    @property
    def model(self) -> nn.Module:
        """The network to train."""
        ...

    @property
    def batches(self) -> int:
        """Number of batches in an epoch."""
        ...

    def loss(self, epoch: int, batch: int, state: Any) -> Loss:
        """Return the loss of a batch, differentiable; ``state`` is the last batch's, or None."""
        ...

    def validate(self, batches: int | None = None) -> float:
        """Mean loss on what was held out, or on its first ``batches``."""
        ...

    def sample(self, seed: int) -> str:
        """Show something the model makes now, for a person to see it learn."""
        ...

    def save_model(self, folder: Path, history: dict[str, Any]) -> None:
        """Write a model folder; ``history`` tells how it was trained and its scores."""
        ...
