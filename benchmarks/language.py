"""A language model with drawn weights, and those who write with it, one character at a time."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import onnx_peer
from benchmarks.measure import Arrays, Contestant
from elman import modelfile
from elman.encode.text import CharacterVocabulary
from elman.modelfile.text import TextModelSpec
from elman.reference import Linear, build, forward
from elman.runtime import TextModel, load

TEMPERATURE = 0.8
LENGTH = 100  # characters a call
CHECKED = 12  # characters whose log-probabilities are compared
LAYERS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "elman": torch.nn.RNN}
Step = Callable[[int], Any]  # an id -> outputs (V,) before the softmax; keeps its state


@dataclass(frozen=True)
class Language:
    """One recurrent layer of H units over V characters."""

    cell: str
    hidden: int
    characters: int = 96

    @property
    def spec(self) -> TextModelSpec:
        return TextModelSpec(cell=self.cell, hidden=self.hidden)

    @cached_property
    def vocabulary(self) -> CharacterVocabulary:
        return CharacterVocabulary("\n" + "".join(map(chr, range(32, 32 + self.characters - 2))))

    @cached_property
    def tensors(self) -> dict[str, Any]:
        rng, spread = np.random.default_rng(self.hidden), self.hidden**-0.5
        shapes = self.spec.tensor_shapes(len(self.vocabulary))
        return {n: rng.uniform(-spread, spread, s).astype("float32") for n, s in shapes.items()}

    @cached_property
    def layer(self) -> dict[str, Any]:
        """The recurrent layer's tensors, by PyTorch's names."""
        start = "recurrent."
        return {n[len(start) :]: a for n, a in self.tensors.items() if n.startswith(start)}

    def load(self) -> TextModel:
        """The model, by way of a folder."""
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "model"
            parts = {"tensors": self.tensors, "tokenizer": self.vocabulary.to_json(), "readme": ""}
            modelfile.write(folder, task="text", spec=self.spec.to_json(), **parts)
            model = load(folder)
        assert isinstance(model, TextModel)
        return model

    def ids(self) -> list[int]:
        """What is read before results are compared."""
        return np.random.default_rng(1).integers(1, len(self.vocabulary), CHECKED).tolist()

    def solution(self) -> Arrays:
        """Log-probabilities after each of them, by the reference."""
        arrays = {name: array.astype("float64") for name, array in self.tensors.items()}
        (spec,) = self.spec.recurrent
        cell = build(spec, {n: arrays[f"recurrent.{n}_l0"] for n in spec.parameter_shapes})
        h = forward(cell, arrays["embedding.weight"][self.ids()][:, None]).outputs
        y = Linear(arrays["output.weight"], arrays["output.bias"]).forward(h)[:, 0]
        return {"log-probabilities": log_softmax(y)}


def log_softmax(y: Any) -> Any:
    y = np.asarray(y, np.float64)
    return y - np.log(np.exp(y).sum(axis=-1, keepdims=True))


def elman(language: Language) -> Contestant:
    """``TextStream.generate``, as anybody would call it."""
    model = language.load()

    def run() -> str:
        return "".join(model.stream().generate(LENGTH, temperature=TEMPERATURE))

    def result() -> Arrays:
        predictor = model.predictor()
        state, rows = predictor.start(), []
        for token in language.ids():
            row, state = predictor.advance(state, np.array([token], np.int32))
            rows.append(row[0])
        return {"log-probabilities": np.stack(rows)}

    return Contestant("elman", run, result, language.solution)


def torch_nn(language: Language) -> Contestant:
    """``torch.nn``'s layers in inference mode, drawn with ``torch.multinomial``."""
    held = {name: torch.from_numpy(array) for name, array in language.tensors.items()}
    size = held["embedding.weight"].shape[1]
    layer = LAYERS[language.cell](size, language.hidden)
    layer.load_state_dict({n: torch.from_numpy(a) for n, a in language.layer.items()})
    embedding, output = held["embedding.weight"], (held["output.weight"], held["output.bias"])

    def begin() -> Callable[[int], torch.Tensor]:
        state = None

        def step(token: int) -> torch.Tensor:
            nonlocal state
            y, state = layer(embedding[token].view(1, 1, -1), state)
            return torch.nn.functional.linear(y.view(-1), *output)

        return step

    def run() -> str:
        with torch.inference_mode():
            step, token, text = begin(), 1, []
            for _ in range(LENGTH):
                p = (step(token) / TEMPERATURE).softmax(0)
                token = int(torch.multinomial(p, 1))
                text.append(language.vocabulary.characters[token - 1])
        return "".join(text)

    def result() -> Arrays:
        with torch.inference_mode():
            step = begin()
            return {"log-probabilities": log_softmax([step(t).numpy() for t in language.ids()])}

    return Contestant("torch.nn", run, result, language.solution)


def onnxruntime(language: Language, threads: int) -> Contestant:
    """One graph from id to outputs, drawn with NumPy."""
    weights = {name.removesuffix("_l0"): array for name, array in language.layer.items()}
    ends = {n: a for n, a in language.tensors.items() if not n.startswith("recurrent.")}
    session = onnx_peer.session(language.cell, weights, threads, ends)
    names = onnx_peer.STATES[language.cell]

    def begin() -> Step:
        feed = {name: np.zeros((1, 1, language.hidden), "float32") for name in names}

        def step(token: int) -> Any:
            y, *after = session.run(None, {"x": np.array([[token]]), **feed})
            feed.update(zip(names, after, strict=True))
            return y.reshape(-1)

        return step

    def run() -> str:
        rng, step, token, text = np.random.default_rng(0), begin(), 1, []
        for _ in range(LENGTH):
            y = step(token) / TEMPERATURE
            mass = np.cumsum(np.exp(y - y.max()))
            token = int(np.searchsorted(mass, rng.random() * mass[-1]))
            text.append(language.vocabulary.characters[token - 1])
        return "".join(text)

    def result() -> Arrays:
        step = begin()
        return {"log-probabilities": log_softmax([step(token) for token in language.ids()])}

    return Contestant("onnxruntime", run, result, language.solution)


def writers(language: Language, threads: int, with_onnx: bool) -> Iterator[Contestant]:
    """elman first."""
    yield elman(language)
    yield torch_nn(language)
    if with_onnx:
        yield onnxruntime(language, threads)
