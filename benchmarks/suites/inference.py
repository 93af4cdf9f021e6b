"""Whole sequences without gradients, final states included."""

from collections.abc import Iterator

from benchmarks import elman_peer, jax_peer, onnx_peer, torch_peer
from benchmarks.measure import compare
from benchmarks.problem import draw
from benchmarks.record import Row
from benchmarks.shapes import forward_flops
from benchmarks.suites import Settings
from elman.spec import CELLS

SECONDS = 2.5


def rows(settings: Settings) -> Iterator[Row]:
    with_onnx = settings.present("onnxruntime", onnx_peer.absent())
    with_jax = settings.present("jax", jax_peer.absent())
    for shape in settings.shapes():
        for cell in CELLS:
            problem = draw(cell, shape)
            contestants = [
                torch_peer.inference("elman", problem, elman_peer.layer(problem)),
                torch_peer.inference("torch.nn", problem, torch_peer.layer(problem)),
            ]
            contestants += [onnx_peer.inference(problem, settings.threads)] if with_onnx else []
            contestants += [jax_peer.inference(problem)] if with_jax else []
            flops = forward_flops(cell, shape)
            yield compare(cell, str(shape), contestants, settings.seconds(SECONDS), flops=flops)
