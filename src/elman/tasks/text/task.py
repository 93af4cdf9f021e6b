"""The text task: what the training loop needs to learn a language model."""

from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from elman import modelfile
from elman.bptt import detach
from elman.decode.sample import generate
from elman.modelfile.text import TextModelSpec
from elman.tasks.task import Loss
from elman.tasks.text.card import card
from elman.tasks.text.config import DataConfig
from elman.tasks.text.data import Lanes
from elman.tasks.text.model import TextModel, TorchPredictor
from elman.tasks.text.prepare import Tokens
from elman.tasks.text.score import nats

SAMPLE = 200  # characters


class TextTask:
    """Next-token prediction by truncated BPTT over contiguous lanes."""

    name = "text"
    unit = "characters"

    def __init__(
        self, tokens: Tokens, config: DataConfig, spec: TextModelSpec, device: torch.device
    ) -> None:
        self.tokens = tokens
        self.lanes = Lanes(tokens.train, config.batch, config.window)
        self.device = device
        self.model = TextModel(spec, len(tokens.vocabulary)).to(device)

    @property
    def batches(self) -> int:
        """Windows in an epoch."""
        return len(self.lanes)

    def loss(self, epoch: int, batch: int, state: Any) -> Loss:
        """Mean nats a token of one window; its state is carried, its gradient is not."""
        inputs, targets = (part.to(self.device) for part in self.lanes[batch])
        logits, after = self.model(inputs, detach(state))
        loss: Tensor = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        return Loss(loss, after, targets.numel() * self.tokens.characters_per_token)

    def validate(self, batches: int | None = None) -> float:
        """Nats a token on the text held out."""
        total, count = nats(self.model, self.tokens.validation, batches)
        return total / count

    def sample(self, seed: int) -> str:
        """A few lines that the model writes now."""
        predictor = TorchPredictor(self.model, self.tokens.vocabulary)
        pieces = generate(predictor, "\n", length=SAMPLE, temperature=0.8, seed=seed)
        return "".join(islice(pieces, SAMPLE))

    def save_model(self, folder: Path, history: dict[str, Any]) -> None:
        """Write the model folder with its card."""
        state = self.model.state_dict()
        if self.model.spec.tie:
            del state["embedding.weight"]  # it is the output layer's
        modelfile.write(
            folder,
            task=self.name,
            spec=self.model.spec.to_json(),
            tensors={name: value.cpu().numpy() for name, value in state.items()},
            tokenizer=self.tokens.vocabulary.to_json(),
            readme=card(self.model, self.tokens.vocabulary, history),
        )
