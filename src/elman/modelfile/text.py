"""What the text task writes into ``config.json``, and the tensors that follow from it."""

from dataclasses import asdict, dataclass
from typing import Any

from elman.config import option
from elman.errors import ModelError, UsageError, check_bounds, check_choice
from elman.spec import CELLS, LayerSpec, suffix
from elman.storage import shown

TASK = "text"
MAX_SIZE = 1 << 16  # of any width, and MAX_LAYERS of them: what a model file may ask for
MAX_LAYERS = 64


@dataclass(frozen=True, slots=True)
class TextModelSpec:
    """Sizes and options of a text model: embedding, recurrent layers, output layer."""

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

    @property
    def recurrent(self) -> list[LayerSpec]:
        """The recurrent layers, the first first."""
        sizes = [self.embedding_size] + [self.hidden] * self.layers
        return [
            LayerSpec(self.cell, size, self.hidden, layer_norm=self.layer_norm)
            for size in sizes[:-1]
        ]

    def tensor_shapes(self, vocabulary: int) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor of the folder, for so many tokens."""
        shapes: dict[str, tuple[int, ...]] = {}
        if not self.tie:
            shapes["embedding.weight"] = (vocabulary, self.embedding_size)
        for number, layer in enumerate(self.recurrent):
            for name, shape in layer.parameter_shapes.items():
                shapes[f"recurrent.{name}{suffix(number)}"] = shape
        return shapes | {"output.weight": (vocabulary, self.hidden), "output.bias": (vocabulary,)}

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
                    "load model",
                    f"config.json: spec has no such {shown(name, 40)}: {shown(repr(value), 40)}",
                )
        if missing := known.keys() - values.keys():
            raise ModelError("load model", f"config.json: spec lacks {sorted(missing)[0]}")
        try:
            return cls(**values)
        except UsageError as error:
            raise ModelError("load model", f"config.json: {error.message}") from None
