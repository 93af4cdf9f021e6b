"""One timestep called from Python, batch 1: the contestants of ``benchmarks.timestep``."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from benchmarks import onnx_peer, timestep
from benchmarks.measure import figure, take_turns
from benchmarks.problem import Array, draw
from benchmarks.record import Row
from benchmarks.shapes import STEP_SIZES, Shape, forward_flops
from benchmarks.suites import Settings
from elman.spec import CELLS

OURS = {"float32": "elman", "bfloat16": "elman bfloat16", "int8": "elman int8"}
SECONDS = 3.0
STEPS = 16


def repeated(step: timestep.Step, xs: Array) -> Callable[[], None]:
    def run() -> None:
        for x in xs:
            step(x)

    return run


def row(cell: str, size: int, seconds: float) -> Row:
    shape = Shape(1, 1, size, size)
    weights = draw(cell, shape).torch_weights()
    xs = np.random.default_rng(size).standard_normal((STEPS, size), dtype=np.float32)
    runs, checked, refused = {}, {}, {}
    made = dict(timestep.contestants(cell, size, weights))
    for kind in sorted(made, key=lambda kind: kind not in OURS):  # ours first
        name, allowed = OURS.get(kind, kind), timestep.ALLOWED.get(kind, 1e-5)
        found = timestep.difference(made[kind], cell, size, weights, xs)
        if found <= allowed:
            runs[name], checked[name] = repeated(made[kind], xs), (found, allowed)
        else:
            refused[name] = f"differs by {found:.1e}, allowed {allowed:.0e}"
    times = take_turns(runs, seconds)
    figures = {name: figure([t / STEPS for t in times[name]], *checked[name]) for name in checked}
    return Row(cell, str(shape), figures, refused, flops=forward_flops(cell, shape))


def rows(settings: Settings) -> Iterator[Row]:
    settings.present("onnxruntime", onnx_peer.absent())
    for size in STEP_SIZES[:1] if settings.quick else STEP_SIZES:
        for cell in CELLS:
            with torch.no_grad():
                yield row(cell, size, settings.seconds(SECONDS))
