"""From a model folder to a text model that can predict."""

from pathlib import Path

import torch

from elman import modelfile
from elman.encode.text import from_json
from elman.errors import ModelError
from elman.modelfile.text import TextModelSpec
from elman.tasks.text.model import TextModel, TorchPredictor


def load(folder: Path) -> TorchPredictor:
    """Read a text model, checking every name and shape before memory is taken for it.

    Raises ModelError for a folder that is not one.
    """
    held = modelfile.read(folder)
    if held.task != "text":
        raise ModelError("load model", f"{folder} must hold a text model, found task {held.task!r}")
    if held.tokenizer is None:
        raise ModelError("load model", f"{folder} must hold tokenizer.json, found none; copy it")
    vocabulary = from_json(held.tokenizer)
    spec = TextModelSpec.from_json(held.spec)
    with torch.device("meta"):
        model = TextModel(spec, len(vocabulary))
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if spec.tie:
        del expected["embedding.weight"]
    modelfile.check_tensors(held.tensors, expected)
    state = {name: torch.tensor(held.tensors[name]) for name in expected}
    if spec.tie:
        state["embedding.weight"] = state["output.weight"]
    model.load_state_dict(state, assign=True)
    return TorchPredictor(model.float(), vocabulary)
