"""How well a model in training predicts a text."""

import numpy as np
import torch
from numpy.typing import NDArray

from elman.runtime.score import lanes_of
from elman.tasks.text.data import Lanes
from elman.tasks.text.model import TextModel

WINDOW = 1024


@torch.inference_mode()
def nats(
    model: TextModel, tokens: NDArray[np.integer], windows: int | None = None
) -> tuple[float, int]:
    """Total surprise in nats of all tokens but the first, and how many there are.

    ``windows`` ends the count early. As in :func:`elman.runtime.score.nats`, the state runs
    through, and very long texts are cut into lanes.
    """
    batch = lanes_of(len(tokens))
    lanes = Lanes(tokens, batch, min(WINDOW, (len(tokens) - 1) // batch))
    device = model.output.weight.device
    model.eval()
    total, count, state = 0.0, 0, None
    for number in range(len(lanes))[:windows]:
        inputs, targets = lanes[number]
        logits, state = model(inputs.to(device), state)
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.to(device).flatten(), reduction="sum"
        )
        total += float(loss)
        count += targets.numel()
    return total, count
