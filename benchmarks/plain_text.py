"""A character model and its training loop as one would write them with torch.nn alone."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

RECURRENT = {"lstm": nn.LSTM, "gru": nn.GRU, "elman": nn.RNN}


class PlainModel(nn.Module):
    """Embedding, recurrent layers, output layer, with dropout between."""

    def __init__(
        self, cell: str, vocabulary: int, embedding: int, hidden: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        between = dropout if layers > 1 else 0.0
        self.recurrent = RECURRENT[cell](embedding, hidden, layers, dropout=between)
        self.output = nn.Linear(hidden, vocabulary)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, state = self.recurrent(self.dropout(self.embedding(tokens)), state)
        return self.output(self.dropout(y)), state


class PlainTraining:
    """Truncated BPTT over contiguous lanes with AdamW and clipping; the rate stays constant."""

    def __init__(
        self,
        model: nn.Module,
        tokens: NDArray[np.integer],
        *,
        batch: int,
        window: int,
        lr: float,
        weight_decay: float,
        clip: float,
    ) -> None:
        length = (len(tokens) - 1) // batch
        starts = np.arange(batch) * length
        lanes = np.stack([tokens[s : s + length + 1] for s in starts], axis=1).astype(np.int64)
        self.lanes = torch.from_numpy(lanes)  # (length + 1, B)
        self.model, self.window, self.clip = model.train(), window, clip
        matrices = [p for p in model.parameters() if p.ndim > 1]
        others = [p for p in model.parameters() if p.ndim == 1]
        groups = [
            {"params": matrices, "weight_decay": weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99))
        self.windows = length // window
        self.done, self.state = 0, None

    def loss(self, number: int, state: Any) -> tuple[Tensor, Any]:
        """Mean nats a token of one window."""
        start = number * self.window
        part = self.lanes[start : start + self.window + 1]
        logits, state = self.model(part[:-1], state)
        return nn.functional.cross_entropy(logits.flatten(0, 1), part[1:].flatten()), state

    def step(self) -> float:
        number = self.done % self.windows
        if number == 0:
            self.state = None
        loss, state = self.loss(number, self.state)
        value = loss.item()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimiser.step()
        self.state = tuple(s.detach() for s in state) if type(state) is tuple else state.detach()
        self.done += 1
        return value
