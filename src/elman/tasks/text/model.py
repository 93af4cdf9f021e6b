"""The language model: embedding, recurrent layers, output layer; and its face to ``decode``."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from elman.decode.predictor import Predictor
from elman.encode.text import Vocabulary
from elman.modelfile.text import TextModelSpec
from elman.nn import GRU, LSTM, RNN
from elman.nn.stack import RecurrentStack

LAYERS: dict[str, Callable[..., RecurrentStack]] = {"elman": RNN, "gru": GRU, "lstm": LSTM}


class TextModel(nn.Module):
    """Predict the next of ``vocabulary`` tokens: ``logits, state = model(tokens, state)``."""

    def __init__(self, spec: TextModelSpec, vocabulary: int) -> None:
        super().__init__()
        self.spec = spec
        width = spec.embedding_size
        options = {"forget_bias": 1.0} if spec.forget_bias else {}
        self.embedding = nn.Embedding(vocabulary, width)
        self.recurrent = LAYERS[spec.cell](
            width,
            spec.hidden,
            spec.layers,
            dropout=spec.dropout,
            layer_norm=spec.layer_norm,
            recurrent_dropout=spec.recurrent_dropout,
            zoneout=spec.zoneout,
            **options,
        )
        self.output = nn.Linear(spec.hidden, vocabulary)
        if spec.tie:
            # Press & Wolf (2017); the embedding's wide init would start the logits far off.
            nn.init.uniform_(self.output.weight, -(spec.hidden**-0.5), spec.hidden**-0.5)
            self.embedding.weight = self.output.weight
        self.dropout = nn.Dropout(spec.dropout)

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Tokens (T, B) int64 and a state, or None to start -> logits (T, B, V), state."""
        x = self.dropout(self.embedding(tokens))
        y, state = self.recurrent(x, state)
        logits: Tensor = self.output(self.dropout(y))
        return logits, state


class TorchPredictor(Predictor):
    """A :class:`TextModel` as ``elman.decode`` sees it: NumPy in, NumPy out, one token at a time.

    A state is the recurrent layers' state of N rows, or None before the first token.
    """

    def __init__(self, model: TextModel, vocabulary: Vocabulary) -> None:
        self.model = model.eval()
        self.vocabulary = vocabulary

    def start(self) -> Any:
        """Return the state before any token, of one row."""
        return self.model.recurrent.initial_state(1)

    @torch.inference_mode()
    def advance(self, state: Any, tokens: NDArray[np.integer]) -> tuple[NDArray[np.float32], Any]:
        """Feed one token a row: (N,) -> log-probabilities (N, V) of the next, and the state."""
        ids = torch.from_numpy(np.asarray(tokens, np.int64)).to(self.model.output.weight.device)
        logits, state = self.model(ids[None], state)
        return logits[0].log_softmax(-1).cpu().numpy(), state

    def select(self, state: Any, rows: slice) -> Any:
        """A view of ``rows`` of a state."""
        if isinstance(state, Tensor):
            return state[:, rows]
        return tuple(self.select(each, rows) for each in state)

    def join(self, states: Sequence[Any]) -> Any:
        """Return the rows of all ``states``, one after the other."""
        if isinstance(states[0], Tensor):
            return torch.cat(list(states), dim=1)
        return tuple(self.join(each) for each in zip(*states, strict=True))
