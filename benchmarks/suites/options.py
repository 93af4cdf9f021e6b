"""What options cost: training an LSTM with recurrent dropout, zoneout and resets, every shape."""

from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch

from benchmarks import elman_peer, torch_peer
from benchmarks.measure import FLOAT32, Arrays, Contestant, compare
from benchmarks.problem import Problem, draw
from benchmarks.record import Row
from benchmarks.shapes import TABLE, Shape
from benchmarks.suites import Settings
from elman.nn import functional, implementation
from elman.nn.loop import Conditions

SECONDS = 8.0
RATES = {"recurrent_dropout": 0.25, "zoneout": 0.1}
RESETS = 0.02  # of the timesteps
# Normalising divides by a spread that is small just after a reset, and enlarges rounding: of 1000
# draws of masks one was wrong by 1.5e-5, most by 1e-6.
NORMED = 5e-5


class Drawn:
    """The masks of the latest call: they are random, and the reference must be given the same.

    Everything that ``elman.nn`` draws passes through ``functional.layer``.
    """

    def __init__(self) -> None:
        self.conditions = Conditions()
        self._layer = functional.layer

    def __call__(self, spec: Any, p: Any, x: Any, state: Any, around: Any, **given: Any) -> Any:
        self.conditions = around
        return self._layer(spec, p, x, state, around, **given)

    def solution(self, problem: Problem) -> Arrays:
        """Of the reference, with these masks."""
        around = self.conditions
        assert around.mask is not None and around.keep is not None
        keep = [1.0 * k.numpy() for k in around.keep]
        options = {"mask": around.mask.numpy(), "keep": keep, "resets": around.resets.numpy()}
        return problem.solve(training=True, **options)


def contestants(shape: Shape, kinds: tuple[bool, ...] = (False, True)) -> Iterator[Contestant]:
    plain = draw("lstm", shape)
    yield torch_peer.training("elman plain", plain, elman_peer.layer(plain))
    marks = np.random.default_rng(2).random((shape.steps, shape.batch)) < RESETS
    resets = torch.from_numpy(marks)
    for layer_norm in kinds:
        problem = draw("lstm", shape, layer_norm=layer_norm)
        layer = elman_peer.layer(problem, **RATES)
        for name, context in (("elman", "auto"), ("loop", "loop")):
            drawn = Drawn()
            made = torch_peer.training(
                f"{name} options{' + layer norm' if layer_norm else ''}",
                problem,
                layer,
                call=partial(layer, resets=resets),
                context=partial(implementation, context),
                expected=partial(drawn.solution, problem),
                tolerance=NORMED if layer_norm else FLOAT32,
            )
            yield watched(made, drawn)


def watched(made: Contestant, drawn: Drawn) -> Contestant:
    """The same, with its masks noted while its result is checked, and not while it is timed."""

    def result() -> Arrays:
        with mock.patch.object(functional, "layer", drawn):
            return made.result()

    return Contestant(made.name, made.run, result, made.expected, made.tolerance)


def rows(settings: Settings) -> Iterator[Row]:
    for shape in settings.shapes(*TABLE):
        yield compare("lstm", str(shape), list(contestants(shape)), settings.seconds(SECONDS))
