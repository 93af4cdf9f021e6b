"""Forward, and backward to all gradients, x and the state included."""

from collections.abc import Iterator

from benchmarks import elman_peer, jax_peer, torch_peer
from benchmarks.measure import compare
from benchmarks.problem import draw
from benchmarks.record import Row
from benchmarks.shapes import training_flops
from benchmarks.suites import Settings
from elman.spec import CELLS

SECONDS = 4.0


def rows(settings: Settings) -> Iterator[Row]:
    with_jax = settings.present("jax", jax_peer.absent())
    for shape in settings.shapes():
        for cell in CELLS:
            problem = draw(cell, shape)
            contestants = [
                torch_peer.training("elman", problem, elman_peer.layer(problem)),
                torch_peer.training("torch.nn", problem, torch_peer.layer(problem)),
            ]
            contestants += [jax_peer.training(problem)] if with_jax else []
            flops = training_flops(cell, shape)
            yield compare(cell, str(shape), contestants, settings.seconds(SECONDS), flops=flops)
