"""What is learned from: the configuration of the text task's data. Loads no torch."""

from dataclasses import dataclass

from elman.config import option
from elman.encode.text import LEVELS, MAX_TOKENS
from elman.errors import UsageError, check_bounds, check_choice

SIZED = ("word", "bpe")  # levels whose vocabulary can be bounded


@dataclass(frozen=True, slots=True)
class DataConfig:
    """What is learned from, how it is cut into tokens, and how these are walked."""

    files: tuple[str, ...] = ()
    digest: str = ""  # SHA-256 of the text
    validation: str = option("", "A file to validate on, instead of the end of the text.")
    held_out: float = option(0.1, "Part of the text, its end, kept for validation.")
    level: str = option("character", "byte, character, word or bpe.")
    vocabulary: int = option(0, "Most tokens at levels word (0: 50000) and bpe (0: 2000).")
    window: int = option(64, "Timesteps that gradients flow through.")
    batch: int = option(32, "Lanes read side by side.")

    def __post_init__(self) -> None:
        check_choice("train text", "level", self.level, LEVELS)
        bounds = {
            "held_out": (0.001, 0.5),
            "vocabulary": (0, MAX_TOKENS),
            "window": (1, 1 << 20),
            "batch": (1, 1 << 16),
        }
        check_bounds("train text", self, bounds)
        if self.vocabulary and self.level not in SIZED:
            raise UsageError(
                "train text",
                f"vocabulary needs level {' or '.join(SIZED)}, found {self.level}; drop one",
            )
