"""How a model is trained."""

from dataclasses import dataclass

from elman.config import option
from elman.errors import check_bounds


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How a model is trained. Each field is an option of the command line, with its help."""

    epochs: int = option(10, "Passes over the training part.")
    optimiser: str = option("adamw", "sgd, adamw or rmsprop.")
    lr: float = option(3e-3, "Learning rate at its highest.")
    weight_decay: float = option(0.01, "Shrinking of the weight matrices.")
    momentum: float = option(0.0, "Momentum of sgd and rmsprop.")
    clip: float = option(1.0, "Largest norm of the gradient; 0 leaves it as it is.")
    schedule: str = option("cosine", "constant, cosine, step or plateau.")
    warmup: int = option(100, "Steps over which the rate rises, at most a tenth of all.")
    decay_after: int = option(4, "step: epochs at the full rate.")
    decay: float = option(0.5, "step, plateau: what the rate is multiplied by.")
    patience: int = option(0, "Stop after this many evaluations without progress; 0 never.")
    evaluate_every: int = option(0, "Steps between evaluations; 0 is once an epoch.")
    seed: int = option(1, "Seed of everything random.")

    def __post_init__(self) -> None:
        bounds = {
            "epochs": (1, 1_000_000),
            "lr": (1e-12, 1e6),
            "weight_decay": (0, 1e6),
            "momentum": (0, 0.9999),
            "clip": (0, 1e12),
            "warmup": (0, 1 << 40),
            "decay_after": (1, 1_000_000),
            "decay": (1e-6, 1),
            "patience": (0, 1_000_000),
            "evaluate_every": (0, 1 << 40),
            "seed": (0, (1 << 63) - 1),
        }
        check_bounds("train", self, bounds)
