"""Whole models in one timestep: embedding or dense layer in, output layer out."""

from typing import Any

import numpy as np
import pytest
import torch
from runtime.networks import Network
from runtime.test_values import TOLERANCE

from elman.errors import UsageError
from elman.modelfile.text import TextModelSpec
from elman.runtime import Stream
from elman.runtime.rounding import rounded
from elman.tasks.text.model import TextModel

TOKENS, WIDTH, OUTPUTS = 11, 7, 37
STEPS = 4


def ends(start: str, units: int, tie: bool = False) -> dict[str, np.ndarray]:
    """The arrays before and behind the recurrent layers, dense."""
    rng = np.random.default_rng(8)
    shapes: dict[str, tuple[int, ...]] = {
        "output.weight": (TOKENS if tie else OUTPUTS, units),
        "output.bias": (TOKENS if tie else OUTPUTS,),
    }
    if start == "embedding" and not tie:
        shapes["embedding.weight"] = (TOKENS, WIDTH)
    if start == "input":
        shapes |= {"input.weight": (WIDTH, 5), "input.bias": (WIDTH,)}
    return {n: rng.uniform(-0.5, 0.5, s).astype("float32") for n, s in shapes.items()}


def dense(arrays: dict[str, np.ndarray], end: str, v: np.ndarray, weights: str) -> np.ndarray:
    weight = rounded(arrays[f"{end}.weight"], weights).astype("float64")
    return v @ weight.T + arrays[f"{end}.bias"]


@pytest.fixture(params=["core", "textbook"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "textbook":
        monkeypatch.setattr("elman.runtime.engine.native", lambda: None)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("weights", TOLERANCE)
@pytest.mark.parametrize("batch", [None, 1, 3, 17])
@pytest.mark.parametrize("start", ["embedding", "input"])
@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_values(cell: str, start: str, batch: int | None, weights: str) -> None:
    rows, rng = batch or 1, np.random.default_rng(4)
    network = Network(cell, {}, inputs=WIDTH, units=19, layers=2)
    arrays = ends(start, 19)
    prefixed = {f"recurrent.{name}": array for name, array in network.arrays.items()}
    stream = Stream.from_weights(cell, prefixed | arrays, batch_size=batch, weights=weights)
    dtype = "float64" if weights == "float64" else "float32"
    if start == "embedding":
        xs = rng.integers(0, TOKENS, (STEPS, rows))
        inner = arrays["embedding.weight"][xs].astype("float64")
    else:
        xs = rng.standard_normal((STEPS, rows, 5)).astype(dtype)
        inner = dense(arrays, "input", xs, weights)
    states = network.states(rows)
    shape = (lambda a: a[0]) if batch is None else (lambda a: a)
    stream.state = [tuple(shape(s.astype(dtype)) for s in layer) for layer in states]
    h, final = network.run(inner, states, network.kept(weights))
    wanted = dense(arrays, "output", h, weights)
    found = np.stack([stream.timestep(shape(x)).reshape(rows, -1) for x in xs])
    assert np.abs(found - wanted).max() <= TOLERANCE[weights] * np.abs(wanted).max()
    for layer, layer_final in zip(stream.state, final, strict=True):
        for s, f in zip(layer, layer_final, strict=True):
            np.testing.assert_allclose(s.reshape(rows, -1), f, atol=TOLERANCE[weights])


@pytest.mark.usefixtures("engine")
def test_every_kind_of_id_and_a_tied_output() -> None:
    network = Network("gru", {}, inputs=19, units=19)
    arrays = network.arrays | ends("embedding", 19, tie=True)
    tied = Stream.from_weights("gru", arrays, tie=True)
    apart = arrays | {"embedding.weight": arrays["output.weight"]}
    wanted = Stream.from_weights("gru", apart).timestep(np.array(10))
    assert wanted.shape == (TOKENS,)
    for x in (10, np.array(10), np.array(10, dtype="int32"), np.int64(10)):
        np.testing.assert_array_equal(tied.sibling().timestep(x), wanted)
    ids = np.array([3, 0, 10, 0, 4], dtype="int32")[::2]
    together, alone = tied.sibling(3).timestep(ids), tied.sibling().timestep(4)
    np.testing.assert_allclose(together[2], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_the_tensors_of_a_text_model_are_taken_as_they_are(cell: str, tie: bool) -> None:
    torch.manual_seed(1)
    spec = TextModelSpec(cell=cell, hidden=19, layers=2, embedding=19, tie=tie, layer_norm=True)
    model = TextModel(spec, TOKENS).eval()
    arrays = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    if tie:
        del arrays["embedding.weight"]
    stream = Stream.from_weights(cell, arrays, tie=tie, layer_norm=True)
    tokens = [3, 0, 10, 10, 7]
    with torch.no_grad():
        wanted = model(torch.tensor(tokens)[:, None])[0][:, 0].numpy()
    found = np.stack([stream.timestep(token) for token in tokens])
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


BAD_IDS: dict[str, Any] = {
    "below": -1,
    "above": TOKENS,
    "huge": 2**70,
    "huge below": -(2**63),
    "array above": np.array(TOKENS),
    "array below": np.array(-1, dtype="int32"),
    "float": np.array(1.0),
    "python float": 1.0,
    "boolean": np.array(True),
    "unsigned": np.array(1, dtype="uint64"),
    "short": np.array(1, dtype="int16"),
    "swapped": np.array(1, dtype=">i8"),
    "object": np.array(1, dtype=object),
    "vector": np.array([1]),
    "empty": np.array([], dtype="int64"),
    "none": None,
    "text": "a",
}


@pytest.mark.parametrize("x", BAD_IDS.values(), ids=BAD_IDS)
def test_a_wrong_id_is_refused_and_changes_nothing(x: Any) -> None:
    network = Network("lstm", {}, inputs=WIDTH, units=5)
    stream = Stream.from_weights("lstm", network.arrays | ends("embedding", 5))
    stream.timestep(1)
    before = stream.state
    with pytest.raises(UsageError, match=r"^\[Stream.timestep\] x must ") as caught:
        stream.timestep(x)
    assert "\n" not in str(caught.value)
    for found, wanted in zip(stream.state[0], before[0], strict=True):
        np.testing.assert_array_equal(found, wanted)
    rows = stream.sibling(2)
    with pytest.raises(UsageError, match=r"found 11"):
        rows.timestep(np.array([0, TOKENS]))


IN, OUT = np.ones((TOKENS, WIDTH), "float32"), np.ones((OUTPUTS, 5), "float32")
BAD_ENDS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "embedding": (
        {"embedding.weight": IN[:, 1:]},
        {},
        r"embedding.weight must have shape \(V, 7\)",
    ),
    "no tokens": ({"embedding.weight": IN[:0]}, {}, "sizes must be from 1"),
    "output": ({"output.weight": OUT[:, 1:]}, {}, r"output.weight must have shape \(V, 5\)"),
    "no outputs": ({"output.weight": OUT[:0]}, {}, "sizes must be from 1"),
    "bias": (
        {"output.weight": OUT, "output.bias": OUT[0]},
        {},
        r"output.bias must have shape \(37,\)",
    ),
    "input": ({"input.weight": IN}, {}, r"input.weight must have shape \(7, D\)"),
    "both": ({"input.weight": IN[:7], "embedding.weight": IN}, {}, "must not stand beside"),
    "bias alone": ({"output.bias": OUT[:, 0]}, {}, "found 'output.bias'"),
    "untied": ({}, {"tie": True}, "tie needs output.weight"),
    "tied twice": ({"output.weight": OUT, "embedding.weight": IN}, {"tie": True}, "tie needs"),
    "infinite": (
        {"output.weight": OUT * np.inf},
        {"weights": "int8"},
        "output.weight must be finite",
    ),
    "integers": ({"output.weight": OUT.astype(int)}, {}, "must hold floating-point numbers"),
}


@pytest.mark.parametrize("bad", BAD_ENDS.values(), ids=BAD_ENDS)
def test_ends_are_refused(bad: tuple[dict[str, Any], dict[str, Any], str]) -> None:
    changes, options, message = bad
    arrays = Network("lstm", {}, inputs=WIDTH, units=5).arrays | changes
    with pytest.raises(UsageError, match=message) as caught:
        Stream.from_weights("lstm", arrays, **options)
    assert "\n" not in str(caught.value)
