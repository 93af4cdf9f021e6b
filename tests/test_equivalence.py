"""The square: ``reference``, both implementations of ``elman.nn``, and ``torch.nn`` are one.

Whoever computes gives its *answers*: a dict of outputs, final states and the gradients of the
input, the starting state and every parameter. The loss reads every output, every final state and,
where torch.nn is not asked, every state at every timestep, each with its own random weight.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from elman import nn
from elman.reference import backward, build, forward
from elman.spec import LayerSpec, suffix

pytestmark = pytest.mark.usefixtures("memory_of_nans")

Answers = dict[str, np.ndarray[Any, Any]]
IMPLEMENTATIONS = ("core", "loop", "fused")
PLAIN: dict[str, tuple[str, dict[str, Any]]] = {
    "tanh": ("RNN", {}),
    "relu": ("RNN", {"nonlinearity": "relu"}),
    "gru": ("GRU", {}),
    "lstm": ("LSTM", {}),
    "lstm_proj": ("LSTM", {"proj_size": 3}),
}
# The native core leaves projections to the others.
KINDS = [(k, n) for k in PLAIN for n in IMPLEMENTATIONS if (k, n) != ("lstm_proj", "core")]
# Relative to the largest entry of each answer; measured 1.04e-6 at most, then frozen.
FLOAT32_ERROR = 3e-6
SIZES = {  # T, B, D, H
    "T1-B1-H1": (1, 1, 3, 1),
    "T2-B3-H5": (2, 3, 1, 5),
    "T63-B17-H64": (63, 17, 5, 64),
    "T257-B1-H100": (257, 1, 2, 100),
}
OWN_OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "RNN": {"order2": {"order": 2}, "order3": {"order": 3}, "relu": {"nonlinearity": "relu"}},
    "GRU": {},
    "LSTM": {
        "peephole": {"peephole": True},
        "proj": {"proj_size": 2},
        "peephole_proj": {"peephole": True, "proj_size": 2},
    },
}
SHARED_OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no_bias": {"bias": False},
    "layer_norm": {"layer_norm": True},
    "learned": {"learn_initial_state": True},
    "zoneout": {"zoneout": 0.3},
}
ALL_OPTIONS: dict[str, dict[str, Any]] = {
    "RNN": {"order": 3, "zoneout": 0.2},
    "GRU": {"zoneout": 0.2},
    "LSTM": {"peephole": True, "proj_size": 2, "zoneout": (0.2, 0.4)},
}
CONFIGURED = {
    f"{cell}-{name}": (cell, options)
    for cell, own in OWN_OPTIONS.items()
    for name, options in {
        **SHARED_OPTIONS,
        **own,
        "all": {"layer_norm": True, "learn_initial_state": True, **ALL_OPTIONS[cell]},
    }.items()
}


@dataclass(frozen=True)
class Problem:
    """A sequence, the state it starts from (none: empty), and the weights of the loss."""

    x: Tensor
    state: tuple[Tensor, ...]
    d_outputs: Tensor
    d_final: tuple[Tensor, ...]
    d_states: tuple[Tensor, ...] = ()


def make_layer(cell: str, *sizes: int, **options: Any) -> Any:
    """A float64 layer of elman.nn in which no parameter is 0 or 1, those of the norms included."""
    layer = getattr(nn, cell)(*sizes, dtype=torch.float64, **options).eval()
    for parameter in layer.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 0.3, 0.5)
    return layer


def able(layer: Any, *among: str) -> list[str]:
    """Those of the implementations that compute such a layer."""
    projected = layer.specs[0][0].proj_size > 0
    return [n for n in among or IMPLEMENTATIONS if n != "core" or not projected]


def make_problem(layer: Any, steps: int, batch: int, *, state: bool, states: bool) -> Problem:
    rows = layer.num_layers * layer.directions
    sizes = layer.specs[0][0].state_sizes.values()

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64)

    return Problem(
        x=draw(steps, batch, layer.input_size),
        state=tuple(draw(rows, batch, size) for size in sizes) if state else (),
        d_outputs=draw(steps, batch, layer.output_size),
        d_final=tuple(draw(rows, batch, size) for size in sizes),
        d_states=tuple(draw(rows, steps, batch, size) for size in sizes) if states else (),
    )


def twin_of(layer: Any) -> Any:
    """The same layer from torch.nn, with the same weights."""
    options = {n: getattr(layer, n) for n in ("num_layers", "bias", "bidirectional")}
    options |= {n: getattr(layer, n) for n in ("nonlinearity", "proj_size") if hasattr(layer, n)}
    kind = getattr(torch.nn, type(layer).__name__)
    twin = kind(layer.input_size, layer.hidden_size, dtype=torch.float64, **options)
    twin.load_state_dict(layer.state_dict())
    return twin


def by_module(module: Any, problem: Problem, **how: Any) -> Answers:
    """The answers of a layer of elman.nn or torch.nn."""
    x = problem.x.clone().requires_grad_()
    state = tuple(s.clone().requires_grad_() for s in problem.state)
    hx: Any = state if len(state) > 1 else (*state, None)[0]
    outputs, final = module(x, hx, **how)
    final = final if isinstance(final, tuple) else (final,)
    read, weights = [outputs, *final], [problem.d_outputs, *problem.d_final]
    if problem.d_states:
        every = module.trajectory(x, hx, **how)
        read += every if isinstance(every, tuple) else [every]
        weights += problem.d_states
    module.zero_grad()
    torch.autograd.backward(read, weights)
    answers = {"outputs": outputs, "d x": x.grad}
    answers |= {f"final {i}": s for i, s in enumerate(final)}
    answers |= {f"d state {i}": s.grad for i, s in enumerate(state)}
    for name, p in module.named_parameters():
        # A learned initial state that nothing started from has no gradient: as good as zeros.
        answers[f"d {name}"] = torch.zeros_like(p) if p.grad is None else p.grad
    return {name: value.detach().numpy() for name, value in answers.items()}


def by_reference(layer: Any, problem: Problem, **how: Any) -> Answers:
    """The answers of the reference, with the parameters and the zoneout of ``layer``."""
    parameters = {n: p.detach().double().numpy() for n, p in layer.named_parameters()}
    state, d_final, d_states = (
        [s.double().numpy() for s in each]
        for each in (problem.state, problem.d_final, problem.d_states)
    )
    levels = []
    y = problem.x.double().numpy()
    for level, directions in enumerate(layer.specs):
        traces = []
        for reverse, spec in zip((False, True), directions, strict=False):
            own = {n: parameters[n + suffix(level, reverse)] for n in spec.parameter_shapes}
            row = level * len(directions) + reverse
            state0 = tuple(s[row] for s in state) or None
            cell = build(spec, own)
            traces.append(forward(cell, y, state0, keep=layer.zoneout, reverse=reverse, **how))
        levels.append(traces)
        y = np.concatenate([trace.outputs for trace in traces], axis=-1)
    answers: Answers = {"outputs": y}
    rows = [trace for traces in levels for trace in traces]
    for i in range(len(d_final)):
        answers[f"final {i}"] = np.stack([trace.final[i] for trace in rows])
        if state:
            answers[f"d state {i}"] = np.zeros_like(state[i])
    d_y = problem.d_outputs.double().numpy()
    for level, traces in reversed(list(enumerate(levels))):
        d_x = 0.0
        for reverse, d_half in enumerate(np.split(d_y, len(traces), axis=-1)):
            row = level * len(traces) + reverse
            found = backward(
                traces[reverse],
                d_half,
                tuple(d[row] for d in d_states) or None,
                tuple(d[row] for d in d_final),
            )
            d_x = d_x + found.x
            for i, d in enumerate(found.state0 if state else ()):
                answers[f"d state {i}"][row] = d
            for name, gradient in found.parameters.items():
                answers[f"d {name}{suffix(level, bool(reverse))}"] = gradient
        d_y = d_x
    return answers | {"d x": d_y}


def assert_same(found: Answers, expected: Answers, tolerance: float = 1e-10) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # Sums over many timesteps grow, and their rounding with them: hence a relative part.
        scale = max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance * scale, err_msg=name)


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    torch.manual_seed(5)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("layers", [1, 2, 3], ids=lambda n: f"{n}layers")
@pytest.mark.parametrize("bidirectional", [False, True], ids=["oneway", "bothways"])
@pytest.mark.parametrize("kind", PLAIN)
def test_the_square(kind: str, bidirectional: bool, layers: int, bias: bool) -> None:
    cell, options = PLAIN[kind]
    layer = make_layer(
        cell, 4, 5, num_layers=layers, bias=bias, bidirectional=bidirectional, **options
    )
    problem = make_problem(layer, 7, 3, state=True, states=False)
    expected = by_reference(layer, problem)
    assert_same(by_module(twin_of(layer), problem), expected)
    for name in able(layer):
        with nn.implementation(name):
            assert_same(by_module(layer, problem), expected)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("kind", PLAIN)
def test_the_square_at_odd_sizes(kind: str, sizes: tuple[int, int, int, int]) -> None:
    steps, batch, inputs, hidden = sizes
    cell, options = PLAIN[kind]
    options = options if hidden > 3 else {**options, "proj_size": 0} if "proj" in kind else options
    layer = make_layer(cell, inputs, hidden, bidirectional=hidden < 64, **options)
    problem = make_problem(layer, steps, batch, state=True, states=False)
    expected = by_reference(layer, problem)
    assert_same(by_module(twin_of(layer), problem), expected)
    for name in able(layer):
        with nn.implementation(name):
            assert_same(by_module(layer, problem), expected)


@pytest.mark.parametrize(("kind", "name"), KINDS, ids="-".join)
def test_no_state_is_a_state_of_zeros(kind: str, name: str) -> None:
    cell, options = PLAIN[kind]
    layer = make_layer(cell, 4, 5, num_layers=2, bidirectional=True, **options)
    without = make_problem(layer, 6, 3, state=False, states=False)
    zeros = tuple(torch.zeros_like(d) for d in without.d_final)
    with_zeros = Problem(without.x, zeros, without.d_outputs, without.d_final)
    with nn.implementation(name):
        found = by_module(layer, without)
        expected = by_module(layer, with_zeros)
    assert_same(found, {n: v for n, v in expected.items() if "state" not in n}, tolerance=1e-14)
    assert_same(found, by_reference(layer, without))


@pytest.mark.parametrize(("kind", "name"), KINDS, ids="-".join)
def test_single_precision_stays_close_to_the_reference(kind: str, name: str) -> None:
    cell, options = PLAIN[kind]
    layer = make_layer(cell, 9, 64, num_layers=2, bidirectional=True, **options).float()
    drawn = make_problem(layer, 63, 17, state=True, states=False)
    problem = Problem(
        drawn.x.float(),
        tuple(s.float() for s in drawn.state),
        drawn.d_outputs.float(),
        tuple(d.float() for d in drawn.d_final),
    )
    expected = by_reference(layer, problem)
    with nn.implementation(name):
        found = by_module(layer, problem)
    assert found.keys() == expected.keys()
    errors = {n: np.abs(found[n] - v).max() / np.abs(v).max() for n, v in expected.items()}
    assert max(errors.values()) < FLOAT32_ERROR, errors


def ragged(steps: int, batch: int) -> dict[str, Tensor]:
    """Lengths with both ends among them, and resets before, between, in a row and in padding."""
    lengths = torch.tensor([steps, 1, steps - 2])[:batch]
    resets = torch.rand(steps, batch) < 0.4
    resets[0, 0] = resets[3:5, 0] = resets[2, 1] = resets[-1] = True
    return {"lengths": lengths, "resets": resets}


@pytest.mark.parametrize("ways", ["whole", "resets", "lengths and resets"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["oneway", "bothways"])
@pytest.mark.parametrize("configured", CONFIGURED.values(), ids=CONFIGURED)
def test_every_option_is_that_of_the_reference(
    configured: tuple[str, dict[str, Any]], bidirectional: bool, ways: str
) -> None:
    cell, options = configured
    layer = make_layer(cell, 3, 4, num_layers=2, bidirectional=bidirectional, **options)
    how = {name: value for name, value in ragged(6, 3).items() if name in ways}
    for state in (True, False):
        problem = make_problem(layer, 6, 3, state=state, states=True)
        for b, length in enumerate(how.get("lengths", ())):
            problem.x[int(length) :, b] = float("nan")
        expected = by_reference(layer, problem, **{n: v.numpy() for n, v in how.items()})
        for name in able(layer, "core", "loop"):
            with nn.implementation(name):
                assert_same(by_module(layer, problem, **how), expected)


def parts(state: Any, *rows: slice) -> Any:
    """``state[rows]`` of a state as elman.nn hands it out: a tensor, or a tuple of them."""
    return state[rows] if isinstance(state, Tensor) else tuple(s[rows] for s in state)


def assert_close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("split", range(1, 7), ids=lambda t: f"split{t}")
@pytest.mark.parametrize("configured", CONFIGURED.values(), ids=CONFIGURED)
def test_whole_is_any_two_chunks(configured: tuple[str, dict[str, Any]], split: int) -> None:
    cell, options = configured
    layer = make_layer(cell, 3, 4, num_layers=2, **options)
    x, resets = torch.randn(7, 3, 3, dtype=torch.float64), torch.rand(7, 3) < 0.3
    whole, final = layer(x, resets=resets)
    every = layer.trajectory(x, resets=resets)
    head, state = layer(x[:split], resets=resets[:split])
    tail, last = layer(x[split:], state, resets=resets[split:])
    assert_close(torch.cat((head, tail)), whole)
    assert_close(last, final)
    assert_close(parts(every, slice(None), split - 1), state)
    assert_close(
        layer.trajectory(x[split:], state, resets=resets[split:]),
        parts(every, slice(None), slice(split, None)),
    )


@pytest.mark.parametrize("name", ["auto", "loop"])
@pytest.mark.parametrize("configured", CONFIGURED.values(), ids=CONFIGURED)
def test_whole_is_timesteps(configured: tuple[str, dict[str, Any]], name: str) -> None:
    cell, options = configured
    layer = make_layer(cell, 3, 4, num_layers=2, **options)
    x, state = torch.randn(7, 3, 3, dtype=torch.float64), None
    with nn.implementation(name):
        whole, final = layer(x)
        every = layer.trajectory(x)
        for t in range(len(x)):
            y, state = layer.step(x[t], state)
            assert_close(y, whole[t])
            assert_close(state, parts(every, slice(None), t))
        assert_close(state, final)
        # The top layer's h is what it puts out.
        assert_close((every if isinstance(every, Tensor) else every[0])[-1], whole)


def gradients(layer: Any, *inputs: Tensor) -> list[Tensor]:
    each = (*layer.parameters(), *inputs)
    found = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in each]
    layer.zero_grad()
    for each in inputs:
        each.grad = None
    return found


def loss(problem: Problem, outputs: Tensor, final: Any, row: slice = slice(None)) -> Tensor:
    """Every output and final state of the sequences ``row``, weighted."""
    finals = final if isinstance(final, tuple) else (final,)
    pairs = zip(finals, problem.d_final, strict=True)
    total: Tensor = (outputs * problem.d_outputs[: len(outputs), row]).sum()
    return total + sum((f * d[:, row]).sum() for f, d in pairs)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["oneway", "bothways"])
@pytest.mark.parametrize("configured", CONFIGURED.values(), ids=CONFIGURED)
def test_ragged_is_each_sequence_alone(
    configured: tuple[str, dict[str, Any]], bidirectional: bool
) -> None:
    cell, options = configured
    layer = make_layer(cell, 3, 4, num_layers=2, bidirectional=bidirectional, **options)
    problem = make_problem(layer, 6, 3, state=True, states=False)
    x = problem.x.requires_grad_()
    state = [s.requires_grad_() for s in problem.state]
    hx = tuple(state) if len(state) > 1 else state[0]
    lengths = [4, 6, 1]
    padded = x.detach().clone()
    for b, length in enumerate(lengths):
        padded[length:, b] = float("nan")
    padded.requires_grad_()
    outputs, final = layer(padded, hx, lengths=lengths)
    loss(problem, outputs, final).backward()
    found = gradients(layer, padded, *state)
    for b, length in enumerate(lengths):
        row = slice(b, b + 1)
        y, after = layer(x[:length, row], parts(hx, slice(None), row))
        assert_close(outputs[:length, row], y)
        assert not outputs[length:, b].any()
        assert_close(parts(final, slice(None), row), after)
        loss(problem, y, after, row).backward()
    assert_close(found, gradients(layer, x, *state))


def starting(layer: Any, hx: Any, first: bool, last: bool) -> Any:
    """What a segment starts from: ``hx`` where its direction begins, else the initial state."""
    initial = layer.initial_state(1)
    begins = torch.tensor([first, last][: layer.directions]).repeat(layer.num_layers)[:, None, None]
    if isinstance(hx, Tensor):
        return torch.where(begins, hx, initial)
    return tuple(torch.where(begins, h, i) for h, i in zip(hx, initial, strict=True))


@pytest.mark.parametrize("bidirectional", [False, True], ids=["oneway", "bothways"])
@pytest.mark.parametrize("configured", CONFIGURED.values(), ids=CONFIGURED)
def test_resets_are_the_segments_apart(
    configured: tuple[str, dict[str, Any]], bidirectional: bool
) -> None:
    cell, options = configured
    layer = make_layer(cell, 3, 4, num_layers=2, bidirectional=bidirectional, **options)
    problem = make_problem(layer, 7, 2, state=True, states=False)
    x = problem.x.requires_grad_()
    hx = problem.state if len(problem.state) > 1 else problem.state[0]
    borders = [[2, 3], [6]]
    resets = torch.zeros(7, 2, dtype=torch.bool)
    for b, marks in enumerate(borders):
        resets[marks, b] = True
    outputs, final = layer(x, hx, resets=resets)
    forward_rows, reverse_rows = (slice(d, None, layer.directions) for d in (0, 1))
    (outputs * problem.d_outputs).sum().backward()
    found = gradients(layer, x)
    for b, marks in enumerate(borders):
        row, edges = slice(b, b + 1), [0, *marks, 7]
        for start, end in pairwise(edges):
            hx_row = parts(hx, slice(None), row)
            state = starting(layer, hx_row, first=start == 0, last=end == 7)
            y, after = layer(x[start:end, row], state)
            assert_close(outputs[start:end, row], y)
            (y * problem.d_outputs[start:end, row]).sum().backward()
            if end == 7:
                assert_close(parts(final, forward_rows, row), parts(after, forward_rows))
            if start == 0 and bidirectional:
                assert_close(parts(final, reverse_rows, row), parts(after, reverse_rows))
    assert_close(found, gradients(layer, x))


def test_every_option_that_adds_parameters_is_configured() -> None:
    given = {name for _, options in CONFIGURED.values() for name in options}
    fields = set(LayerSpec.__dataclass_fields__) - {"cell", "input_size", "hidden_size"}
    assert fields <= given
