"""Streams against the reference: every cell, option, format of weights and odd sizes."""

import numpy as np
import pytest
from runtime.networks import OPTIONS, Network, nearest_bfloat16, on_tiles

from elman.runtime import Stream
from elman.runtime.rounding import bfloat16

STEPS = 5
# Largest difference over the largest value. Measured on AVX2 over the cases below: float32 3.3e-6,
# bfloat16 2.4e-6, int8 3.7e-4 (its inputs have 16 bits; layer normalisation enlarges that),
# float64 7e-15.
TOLERANCE = {"float32": 1e-5, "bfloat16": 1e-5, "int8": 5e-4, "float64": 1e-12}
# On tiles inputs keep 17 bits, which a normalisation enlarges: measured 6.2e-5, without one 1.4e-5.
ON_TILES = 1.2e-4


def allowed(weights: str, units: int) -> float:
    return ON_TILES if weights == "bfloat16" and on_tiles(units) else TOLERANCE[weights]


def compare(network: Network, batch: int | None, weights: str) -> float:
    rows = batch or 1
    rng = np.random.default_rng(5)
    dtype = "float64" if weights == "float64" else "float32"
    xs = rng.standard_normal((STEPS, rows, network.inputs)).astype(dtype)
    states = network.states(rows)
    wanted, final = network.run(xs, states, network.kept(weights))
    stream = Stream.from_weights(
        network.cell, network.arrays, weights=weights, batch_size=batch, **network.stream_options
    )
    shape = (lambda a: a[0]) if batch is None else (lambda a: a)
    stream.state = [tuple(shape(s.astype(dtype)) for s in layer) for layer in states]
    found = np.stack([stream.timestep(shape(x)).reshape(rows, -1) for x in xs])
    pairs = [(found, wanted)]
    for layer, layer_final in zip(stream.state, final, strict=True):
        pairs += [(s.reshape(rows, -1), f) for s, f in zip(layer, layer_final, strict=True)]
    return max(np.abs(a - b).max() / np.abs(b).max() for a, b in pairs)


@pytest.mark.parametrize("weights", TOLERANCE)
@pytest.mark.parametrize("option", OPTIONS)
def test_every_option(option: str, weights: str) -> None:
    cell, options = OPTIONS[option]
    for units in (19, 67):  # where there are tiles, layers from 64 units on use them
        network = Network(cell, options, inputs=7, units=units, layers=2)
        assert compare(network, 3, weights) <= allowed(weights, units)
        assert compare(network, None, weights) <= allowed(weights, units)


@pytest.mark.parametrize("weights", TOLERANCE)
@pytest.mark.parametrize("units", [1, 5, 16, 64, 100])
@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_every_size(cell: str, units: int, weights: str) -> None:
    for inputs, layers, batch in ((1, 1, None), (3, 3, 17), (33, 1, 3), (5, 2, 1)):
        network = Network(cell, {}, inputs=inputs, units=units, layers=layers)
        assert compare(network, batch, weights) <= allowed(weights, units), (inputs, layers, batch)


@pytest.mark.parametrize(("weights", "most"), [("bfloat16", 4e-2), ("int8", 6e-2)])
@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_what_narrow_weights_lose(cell: str, weights: str, most: float) -> None:
    network = Network(cell, {}, inputs=33, units=100)
    xs = np.random.default_rng(5).standard_normal((STEPS, 33)).astype("float32")
    plain = Stream.from_weights(cell, network.arrays)
    narrow = Stream.from_weights(cell, network.arrays, weights=weights)
    loss = max(np.abs(plain.timestep(x) - narrow.timestep(x)).max() for x in xs)
    assert 1e-5 < loss < most


def test_a_bfloat16_is_among_the_nearest() -> None:
    """Even columns are the nearest; all are off by no more than half a step of 8 bits."""
    rng = np.random.default_rng(2)
    weight = (rng.standard_normal((40, 7)) * 10.0 ** rng.integers(-15, 5, (40, 7))).astype("f4")
    weight[3], weight[4, 2], weight[5, 3] = 0, 0, 0
    found = bfloat16(weight)
    step = 2.0 ** (np.floor(np.log2(np.maximum(np.abs(weight), 2.0**-60))) - 7)
    assert (np.abs(found.astype("f8") - weight) <= 0.5 * step * (1 + 2**-7) + 2.0**-59).all()
    assert (np.abs(found - weight) / step).max() > 0.45
    np.testing.assert_array_equal(found[:, ::2], nearest_bfloat16(weight[:, ::2]))
    np.testing.assert_array_equal(bfloat16(found[:, :1]), found[:, :1])
    assert not found[3].any()


def test_no_state_is_the_initial_state_and_reset_goes_back_to_it() -> None:
    network = Network("lstm", {"learn_initial_state": True}, inputs=3, units=5)
    stream = Stream.from_weights("lstm", network.arrays, learn_initial_state=True)
    initial = [network.arrays["initial_h_l0"], network.arrays["initial_c_l0"]]
    x = np.ones(3, dtype="float32")
    first = stream.timestep(x)
    second = stream.timestep(x)
    assert not np.array_equal(first, second)
    stream.reset()
    for found, wanted in zip(stream.state[0], initial, strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(stream.timestep(x), first)


@pytest.mark.parametrize("weights", TOLERANCE)
@pytest.mark.parametrize("option", OPTIONS)
def test_without_the_core(option: str, weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The textbook stream, which runs where no compiler was: the same numbers."""
    monkeypatch.setattr("elman.runtime.engine.native", lambda: None)
    cell, options = OPTIONS[option]
    network = Network(cell, options, inputs=7, units=19, layers=2)
    assert compare(network, 3, weights) <= 1e-6
    assert compare(network, None, weights) <= 1e-6
