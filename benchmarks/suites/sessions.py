"""Live streams stepped by the batcher: all of them in one call, or one call each."""

from collections.abc import Iterator

import numpy as np

from benchmarks.language import Language, log_softmax
from benchmarks.measure import Arrays, Contestant, compare
from benchmarks.record import Row
from benchmarks.suites import Settings
from elman.reference import Linear, build
from elman.runtime import Batcher

SECONDS = 4.0
HIDDEN = 256
STREAMS = (1, 8, 64, 512)


def contestants(language: Language, streams: int) -> Iterator[Contestant]:
    """Both take the same states one timestep on; the outputs must be the reference's."""
    model = language.load()
    batcher = Batcher(model)
    rng = np.random.default_rng(2)
    states = rng.uniform(-0.9, 0.9, (streams, model.rows.size)).astype("float32")
    ids = rng.integers(1, len(language.vocabulary), streams)
    apart = [(states[i : i + 1], ids[i : i + 1]) for i in range(streams)]

    def together() -> np.ndarray:
        return batcher.advance(states, ids)[0]

    def one_by_one() -> np.ndarray:
        return np.concatenate([batcher.advance(*each)[0] for each in apart])

    def expected() -> Arrays:
        arrays = {name: array.astype("float64") for name, array in language.tensors.items()}
        (spec,) = language.spec.recurrent
        cell = build(spec, {n: arrays[f"recurrent.{n}_l0"] for n in spec.parameter_shapes})
        ends = np.cumsum(list(spec.state_sizes.values()))[:-1]
        before = tuple(np.split(states.astype("float64"), ends, axis=1))
        (h, *_), _ = cell.step(cell.input_part(arrays["embedding.weight"][ids])[0], before)
        y = Linear(arrays["output.weight"], arrays["output.bias"]).forward(h)
        return {"log-probabilities": log_softmax(y)}

    for name, run in (("elman", together), ("elman one at a time", one_by_one)):

        def result(run: object = run) -> Arrays:
            assert callable(run)
            return {"log-probabilities": log_softmax(run())}

        yield Contestant(name, run, result, expected)


def rows(settings: Settings) -> Iterator[Row]:
    for cell in ("lstm",) if settings.quick else ("lstm", "gru"):
        language = Language(cell, 32 if settings.quick else HIDDEN)
        for streams in STREAMS[:2] if settings.quick else STREAMS:
            made = list(contestants(language, streams))
            shape = f"{language.hidden}, {streams} streams"
            yield compare(cell, shape, made, settings.seconds(SECONDS), characters=streams)
