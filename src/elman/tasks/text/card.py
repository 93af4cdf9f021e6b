"""The README of a text model's folder: what it is, how it was trained, its score."""

from typing import Any

from elman.encode.text import Vocabulary
from elman.tasks.text.model import TextModel


def card(model: TextModel, vocabulary: Vocabulary, history: dict[str, Any]) -> str:
    """Markdown for people who find the folder."""
    spec = model.spec
    parameters = sum(p.numel() for p in model.parameters())
    options = "\n".join(f"- {name}: {value}" for name, value in history["training"].items())
    return f"""# A text model trained with elman

{spec.layers} x {spec.hidden} {spec.cell} over {len(vocabulary):,} tokens (level: \
{vocabulary.level}), {parameters:,} parameters.

Validation loss: {history["validation_loss"]:.4f} nats a token, after {history["epochs"]:.3g} \
epochs ({history["steps"]:,} steps).

    elman complete FOLDER "..."
    elman generate FOLDER

## Training

{options}
"""
