"""What is learned from and what learns it: the configuration of the text task. Loads no torch."""

from dataclasses import asdict, dataclass
from typing import Any

from elman.config import option
from elman.encode.text import LEVELS, MAX_TOKENS
from elman.errors import ModelError, UsageError, check_bounds, check_choice
from elman.spec import CELLS

SIZED = ("word", "bpe")  # levels whose vocabulary can be bounded
MAX_SIZE = 1 << 16  # of any width, and MAX_LAYERS of them: what a model file may ask for
MAX_LAYERS = 64


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


@dataclass(frozen=True, slots=True)
class TextModelSpec:
    """Sizes and options of a :class:`TextModel`; ``config.json`` of a model folder holds it."""

    cell: str = option("lstm", "lstm, gru or elman.")
    hidden: int = option(256, "Width of each recurrent layer.")
    layers: int = option(1, "Number of recurrent layers.")
    embedding: int = option(0, "Width of the embedding; 0 is that of the layers, at most 128.")
    dropout: float = option(0.0, "Dropout before, between and after the layers.")
    tie: bool = option(False, "Use the embedding, transposed, as the output layer.")
    layer_norm: bool = option(False, "Normalise inside the cells.")
    recurrent_dropout: float = option(0.0, "Dropout of the state on its way to the next step.")
    zoneout: float = option(0.0, "Probability that a unit keeps its old value.")
    forget_bias: bool = option(False, "Start the forget bias of the LSTM at 1.")

    def __post_init__(self) -> None:
        check_choice("text model", "cell", self.cell, CELLS)
        bounds = {
            "hidden": (1, MAX_SIZE),
            "layers": (1, MAX_LAYERS),
            "embedding": (0, MAX_SIZE),
            "dropout": (0, 0.99),
            "recurrent_dropout": (0, 0.99),
            "zoneout": (0, 0.99),
        }
        check_bounds("text model", self, bounds)
        if self.forget_bias and self.cell != "lstm":
            raise UsageError("text model", f"forget_bias needs the lstm, found {self.cell}")
        if self.tie and self.embedding not in (0, self.hidden):
            raise UsageError(
                "text model",
                f"tie needs embedding = hidden = {self.hidden}, found {self.embedding}; drop one",
            )

    @property
    def embedding_size(self) -> int:
        """Width of the embedding, with the default resolved."""
        if self.tie:
            return self.hidden
        return self.embedding or min(self.hidden, 128)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``config.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TextModelSpec":
        """Inverse of :meth:`to_json`; ModelError for anything that it would not have written."""
        known = {f: type(v) for f, v in asdict(cls()).items()}
        for name, value in values.items():
            if name not in known or type(value) is not known[name]:
                raise ModelError(
                    "load model", f"config.json: spec has no such {name}: {value!r:.40}"
                )
        if missing := known.keys() - values.keys():
            raise ModelError("load model", f"config.json: spec lacks {sorted(missing)[0]}")
        try:
            return cls(**values)
        except UsageError as error:
            raise ModelError("load model", f"config.json: {error.message}") from None
