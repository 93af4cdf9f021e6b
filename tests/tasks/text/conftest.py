import random

import numpy as np
import pytest
import torch

from elman.encode.text import build
from elman.modelfile.text import TextModelSpec
from elman.tasks.text.model import TextModel

TEXT = "".join(random.Random(3).choices("abcde .,\n", k=400))


@pytest.fixture
def text():
    return TEXT


@pytest.fixture
def vocabulary(text):
    return build("character", [text])


@pytest.fixture
def make_model(vocabulary):
    """A model with every parameter drawn, biases too, in float64."""

    def make(**options):
        torch.manual_seed(7)
        spec = TextModelSpec(**({"hidden": 5, "embedding": 3} | options))
        model = TextModel(spec, len(vocabulary)).double()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.uniform_(-0.8, 0.8)
        return model.eval()

    return make


def arrays(model):
    return {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}
