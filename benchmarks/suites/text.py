"""``elman train text`` beside the same model in a plain torch.nn loop.

Both begin with the same weights and read the same characters; start-up and evaluation are outside.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measure import Arrays, Contestant, compare
from benchmarks.plain_text import PlainModel, PlainTraining
from benchmarks.record import Row
from benchmarks.suites import Settings
from elman.modelfile.text import TextModelSpec
from elman.reference import Linear, backward, build, cross_entropy, forward
from elman.spec import LayerSpec
from elman.tasks.text.config import DataConfig
from elman.tasks.text.data import Lanes
from elman.tasks.text.prepare import read_corpus, tokens_of
from elman.tasks.text.task import TextTask
from elman.train.config import TrainingConfig
from elman.train.loop import Trainer
from elman.train.run import RunFolder

SPECS = (TextModelSpec("lstm", hidden=512), TextModelSpec("gru", hidden=256, layers=2))
SECONDS = 30.0
STEPS = 5  # in a turn
FILE = Path("text/tinyshakespeare/input.txt")
NEVER = 1 << 30


class Enough(Exception):  # noqa: N818 - it is no error
    """The turn is over."""


class Turn:
    """Stands in for the progress display, and stops the trainer after some steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.losses: list[float] = []

    def update(self, *, loss: float, **_: Any) -> None:
        self.losses.append(loss)
        self.left -= 1
        if self.left == 0:
            raise Enough

    def note(self, text: str) -> None:
        """Say nothing."""


def take_turn(trainer: Trainer, steps: int) -> None:
    """Train as the command does, checkpoints and metrics included, for some steps."""
    with suppress(Enough):
        trainer.train(Turn(steps))


def beside(trainer: Trainer) -> PlainTraining:
    """The plain training of the same model, with the same weights, on the same tokens."""
    task, config = trainer.task, trainer.config
    spec, lanes = task.model.spec, task.lanes
    sizes = (spec.embedding_size, spec.hidden, spec.layers, spec.dropout)
    model = PlainModel(spec.cell, len(task.tokens.vocabulary), *sizes)
    model.load_state_dict(task.model.state_dict())
    return PlainTraining(
        model,
        task.tokens.train,
        batch=lanes[0][0].shape[1],
        window=lanes.window,
        lr=config.lr,
        weight_decay=config.weight_decay,
        clip=config.clip,
    )


def first_step(model: torch.nn.Module, loss: torch.Tensor) -> Arrays:
    """The loss and all its gradients."""
    names, parameters = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters)
    found = {f"d {name}": d.numpy() for name, d in zip(names, gradients, strict=True)}
    return found | {"loss": np.array(loss.item())}


def solution(spec: TextModelSpec, weights: Mapping[str, Any], lanes: Lanes) -> Arrays:
    """The same by the reference."""
    held = {name: value.astype(np.float64) for name, value in weights.items()}
    inputs, targets = (part.numpy() for part in lanes[0])
    h = held["embedding.weight"][inputs]
    traces, found = [], {}
    for layer in range(spec.layers):
        of_layer = LayerSpec(spec.cell, h.shape[-1], spec.hidden)
        p = {n: held[f"recurrent.{n}_l{layer}"] for n in of_layer.parameter_shapes}
        traces.append(forward(build(of_layer, p), h))
        h = traces[-1].outputs
    output = Linear(held["output.weight"], held["output.bias"])
    loss, d_y = cross_entropy(output.forward(h), targets)
    d_h, of_output = output.backward(d_y, h)
    found |= {f"d output.{name}": d for name, d in of_output.items()}
    for layer, trace in reversed(list(enumerate(traces))):
        gradients = backward(trace, d_h)
        d_h = gradients.x
        names = gradients.parameters.items()
        found |= {f"d recurrent.{name}_l{layer}": d for name, d in names}
    d_embedding = np.zeros_like(held["embedding.weight"])
    np.add.at(d_embedding, inputs, d_h)
    return found | {"d embedding.weight": d_embedding, "loss": np.array(loss)}


def contestants(spec: TextModelSpec, data: DataConfig, folder: Path) -> list[Contestant]:
    torch.manual_seed(1)
    tokens = tokens_of(read_corpus(data), data, folder / "tokens")
    task = TextTask(tokens, data, spec, torch.device("cpu"))
    config = TrainingConfig(epochs=1000, schedule="constant", warmup=0, evaluate_every=NEVER)
    run = RunFolder(folder / "run")
    trainer = Trainer(task, config, run)
    plain = beside(trainer)
    weights = {n: p.detach().numpy().copy() for n, p in task.model.named_parameters()}

    def ours() -> Arrays:
        return first_step(task.model.train(), task.loss(0, 0, None).loss)

    def theirs() -> Arrays:
        return first_step(plain.model, plain.loss(0, None)[0])

    def expected() -> Arrays:
        return solution(spec, weights, task.lanes)

    def plain_turn() -> None:
        for _ in range(STEPS):
            plain.step()

    return [
        Contestant("elman", lambda: take_turn(trainer, STEPS), ours, expected),
        Contestant("torch.nn", plain_turn, theirs, expected),
    ]


def rows(settings: Settings) -> Iterator[Row]:
    folder = os.environ.get("ELMAN_DATA")
    if not settings.present("tiny-shakespeare", _missing(folder)):
        return
    data = DataConfig(files=(str(Path(folder or "") / FILE),))
    for spec in SPECS:
        with tempfile.TemporaryDirectory() as place:
            run = RunFolder(Path(place) / "run")
            with run.lock():
                pair = contestants(spec, data, Path(place))
                seconds, characters = settings.seconds(SECONDS), STEPS * data.batch * data.window
                shape = f"{spec.layers} x {spec.hidden}"
                yield compare(spec.cell, shape, pair, seconds, characters=characters)


def _missing(folder: str | None) -> str:
    if not folder:
        return "the environment variable ELMAN_DATA names no folder"
    return "" if (Path(folder) / FILE).exists() else f"{FILE} is not in the folder of ELMAN_DATA"
