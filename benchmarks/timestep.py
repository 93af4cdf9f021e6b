"""One timestep from Python, batch 1, input size = hidden size: elman beside its peers, in one run.

    python benchmarks/timestep.py [--sizes 64 128] [--rounds 20] [--threads 1]

Prints microseconds (medians) and how many times faster elman is than the fastest of the peers.
Every figure stands beside a checked result: a contestant whose first timesteps differ from the
reference gets none, and the exit code says so. A peer that is not installed is named as absent.
"""

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from elman.core import native
from elman.reference import build
from elman.runtime import Stream
from elman.runtime.stream import Array
from elman.spec import LayerSpec

Step = Callable[[Array], Array]
LAYERS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "elman": torch.nn.RNN}
CELLS = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell, "elman": torch.nn.RNNCell}
# Largest difference from the reference over four timesteps, the output being in -1 .. 1. The
# narrow formats round the weights, and are allowed what that costs.
ALLOWED = {"bfloat16": 2e-2, "int8": 3e-2}
CHECKED = 4


def torch_layer(cell: str, size: int, weights: dict[str, Array]) -> Step:
    layer = LAYERS[cell](size, size)
    layer.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    state = None

    def step(x: Array) -> Array:
        nonlocal state
        y, state = layer(torch.from_numpy(x).view(1, 1, -1), state)
        return y.view(-1).numpy()

    return step


def torch_cell(cell: str, size: int, weights: dict[str, Array]) -> Step:
    module = CELLS[cell](size, size)
    module.load_state_dict({n.removesuffix("_l0"): torch.from_numpy(w) for n, w in weights.items()})
    state = None

    def step(x: Array) -> Array:
        nonlocal state
        state = module(torch.from_numpy(x).view(1, -1), state)
        return (state[0] if cell == "lstm" else state).view(-1).numpy()

    return step


def onnxruntime(cell: str, size: int, weights: dict[str, Array]) -> Step:
    from benchmarks.onnx_peer import STATES, session

    plain = {name.removesuffix("_l0"): w for name, w in weights.items()}
    made = session(cell, plain, torch.get_num_threads())
    states = STATES[cell]
    feed = {name: np.zeros((1, 1, size), dtype="float32") for name in states}

    def step(x: Array) -> Array:
        y, *after = made.run(None, {"x": x.reshape(1, 1, -1), **feed})
        feed.update(zip(states, after, strict=True))
        return y.reshape(-1)

    return step


def contestants(cell: str, size: int, weights: dict[str, Array]) -> Iterator[tuple[str, Step]]:
    yield "torch layer", torch_layer(cell, size, weights)
    yield "torch cell", torch_cell(cell, size, weights)
    if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnx"):
        yield "onnxruntime", onnxruntime(cell, size, weights)
    for kind in ("float32", "bfloat16", "int8"):
        yield kind, Stream.from_weights(cell, weights, weights=kind).timestep


def difference(step: Step, cell: str, size: int, weights: dict[str, Array], xs: Array) -> float:
    """The largest difference from the reference over the first timesteps."""
    parameters = {n.removesuffix("_l0"): w.astype(np.float64) for n, w in weights.items()}
    reference = build(LayerSpec(cell, size, size), parameters)
    state = tuple(np.zeros((1, size)) for _ in reference.spec.state_sizes)
    worst = 0.0
    for x in xs[:CHECKED]:
        state, _ = reference.step(reference.input_part(x[None].astype(np.float64))[0], state)
        worst = max(worst, float(np.abs(step(x) - state[0][0]).max()))
    return worst


def measure(steps: dict[str, Step], xs: Array, rounds: int) -> dict[str, float]:
    """Median microseconds a timestep; the contestants take turns, so that noise hits them alike."""
    repeats, times = {}, {name: [] for name in steps}
    for name, step in steps.items():
        start = time.perf_counter()
        for x in xs:
            step(x)
        each = (time.perf_counter() - start) / len(xs)
        repeats[name] = max(1, int(5e-3 / each / len(xs)))
    for _ in range(rounds):
        for name, step in steps.items():
            time.sleep(0.05)  # the threads of whoever came before still spin
            start = time.perf_counter()
            for _ in range(repeats[name]):
                for x in xs:
                    step(x)
            times[name].append((time.perf_counter() - start) / repeats[name] / len(xs))
    return {name: statistics.median(found) * 1e6 for name, found in times.items()}


def compare(cell: str, size: int, rounds: int) -> tuple[dict[str, float], list[str]]:
    """Microseconds by contestant, and who was refused for a wrong result."""
    rng = np.random.default_rng(size)
    rows = len(LayerSpec(cell, 1, 1).gates) * size
    shapes = {"weight_ih": (rows, size), "weight_hh": (rows, size)}
    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    spread = 1 / np.sqrt(size)
    weights = {
        f"{name}_l0": rng.uniform(-spread, spread, shape).astype("float32")
        for name, shape in shapes.items()
    }
    xs = rng.standard_normal((16, size)).astype("float32")
    steps, refused = {}, []
    for name, step in contestants(cell, size, weights):
        if difference(step, cell, size, weights, xs) <= ALLOWED.get(name, 1e-5):
            steps[name] = step
        else:
            refused.append(f"{cell} H={size} {name}")
    return measure(steps, xs, rounds), refused


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=0, help="of the peers; 0: their default")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    core = native()
    threads = torch.get_num_threads()
    print(f"core {core.isa() if core else 'absent'}, torch {torch.__version__}, {threads} threads")
    if not importlib.util.find_spec("onnxruntime"):
        print("onnxruntime is absent: not compared")
    ours, wrong = ("float32", "bfloat16", "int8"), []
    ratios: dict[tuple[int, str], list[float]] = {}
    with torch.no_grad():
        for size in options.sizes:
            for cell in LAYERS:
                times, refused = compare(cell, size, options.rounds)
                wrong += refused
                best = min(t for name, t in times.items() if name not in ours)
                shown = "  ".join(f"{name} {t:.2f}" for name, t in times.items())
                print(f"{cell:5} H={size:<4} {shown}")
                for name in ours:
                    if name in times:
                        ratios.setdefault((size, name), []).append(best / times[name])
    for size in options.sizes:
        means = {n: statistics.geometric_mean(ratios[size, n]) for n in ours if (size, n) in ratios}
        shown = ", ".join(f"{name} {mean:.2f}x" for name, mean in means.items())
        print(f"H={size}: {shown} the fastest peer (geometric mean over the cells)")
    for name in wrong:
        print(f"refused, its result is not the reference's: {name}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))  # the folder that holds benchmarks/
    sys.exit(main())
