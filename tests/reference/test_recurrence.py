"""What a recurrence means: options said in other words give the same numbers."""

from typing import Any

import numpy as np
import pytest

from elman.reference import Cell, Gradients, Trace, backward, build, forward
from elman.reference.cell import State
from elman.spec import LayerSpec

STEPS, BATCH, INPUTS, HIDDEN = 7, 3, 5, 4
SPECS = {
    "elman": LayerSpec("elman", INPUTS, HIDDEN),
    "elman-order3": LayerSpec("elman", INPUTS, HIDDEN, order=3, learn_initial_state=True),
    "gru": LayerSpec("gru", INPUTS, HIDDEN, layer_norm=True),
    "lstm": LayerSpec("lstm", INPUTS, HIDDEN, peephole=True, learn_initial_state=True),
    "lstm-proj": LayerSpec("lstm", INPUTS, HIDDEN, proj_size=3, layer_norm=True),
}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture(params=list(SPECS.values()), ids=list(SPECS))
def cell(request: pytest.FixtureRequest, rng: np.random.Generator) -> Cell[Any]:
    shapes = request.param.parameter_shapes.items()
    return build(request.param, {n: 0.7 * rng.standard_normal(s) for n, s in shapes})


def draw_states(cell: Cell[Any], rng: np.random.Generator, *leading: int) -> State:
    return tuple(rng.standard_normal((*leading, s)) for s in cell.spec.state_sizes.values())


def row(state: State, b: int) -> State:
    return tuple(s[b : b + 1] for s in state)


def d_like(trace: Trace, seed: int = 5) -> Any:
    return np.random.default_rng(seed).standard_normal(trace.outputs.shape)


def assert_states(found: State, expected: State) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


def assert_parameters(found: list[Gradients], expected: Gradients) -> None:
    for name, gradient in expected.parameters.items():
        total = sum(part.parameters[name] for part in found)
        np.testing.assert_allclose(total, gradient, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_no_state_is_the_initial_state(
    cell: Cell[Any], rng: np.random.Generator, reverse: bool
) -> None:
    x = rng.standard_normal((STEPS, BATCH, INPUTS))
    start = tuple(np.tile(s, (BATCH, 1)) for s in cell.initial_state())
    learned = cell.spec.learn_initial_state
    assert learned == any(bool(s.any()) for s in start)  # zeros, unless learned
    without = forward(cell, x, reverse=reverse)
    given = forward(cell, x, start, reverse=reverse)
    assert_states(without.states, given.states)
    assert_states(without.final, given.final)
    # The gradient goes to whichever of the two was read.
    d = d_like(without)
    assert_states(
        backward(without, d).initial, tuple(s.sum(axis=0) for s in backward(given, d).state0)
    )


def test_resets_are_segments_run_apart(cell: Cell[Any], rng: np.random.Generator) -> None:
    x = rng.standard_normal((STEPS, BATCH, INPUTS))
    state0, initial = draw_states(cell, rng, BATCH), draw_states(cell, rng)
    again = tuple(np.tile(s, (BATCH, 1)) for s in initial)
    resets = np.zeros((STEPS, BATCH), dtype=bool)
    resets[[2, 3]] = True
    whole = forward(cell, x, state0, resets=resets, initial=initial)
    d = d_like(whole)
    segments = ((slice(0, 2), state0), (slice(2, 3), again), (slice(3, STEPS), again))
    traces = [forward(cell, x[part], start) for part, start in segments]
    np.testing.assert_allclose(
        whole.outputs, np.concatenate([t.outputs for t in traces]), rtol=0, atol=1e-12
    )
    assert_states(whole.final, traces[-1].final)
    found = backward(whole, d)
    apart = [backward(t, d[part]) for t, (part, _) in zip(traces, segments, strict=True)]
    assert_states((found.x,), (np.concatenate([g.x for g in apart]),))
    assert_states(found.state0, apart[0].state0)
    both = zip(apart[1].state0, apart[2].state0, strict=True)
    assert_states(found.initial, tuple((a + b).sum(axis=0) for a, b in both))
    assert_parameters(apart, found)


def test_reverse_is_forward_of_the_reversed_sequence(
    cell: Cell[Any], rng: np.random.Generator
) -> None:
    x, state0 = rng.standard_normal((STEPS, BATCH, INPUTS)), draw_states(cell, rng, BATCH)
    resets = rng.uniform(size=(STEPS, BATCH)) < 0.4
    backwards = forward(cell, x, state0, resets=resets, reverse=True)
    # Of the T+1 boundaries around the timesteps, the mirror of boundary t is T-t.
    boundaries = np.concatenate((resets, np.zeros((1, BATCH), dtype=bool)))
    mirrored = forward(cell, x[::-1], state0, resets=boundaries[::-1][:-1])
    assert_states(backwards.states, tuple(s[::-1] for s in mirrored.states))
    assert_states(backwards.final, mirrored.final)
    assert_states(backwards.final, tuple(s[0] for s in backwards.states))


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_lengths_are_sequences_run_alone(
    cell: Cell[Any], rng: np.random.Generator, reverse: bool
) -> None:
    x = rng.standard_normal((STEPS, BATCH, INPUTS))
    state0, lengths = draw_states(cell, rng, BATCH), [4, STEPS, 1]
    ragged = forward(cell, x, state0, lengths=lengths, reverse=reverse)
    d, d_final = d_like(ragged), draw_states(cell, rng, BATCH)
    found = backward(ragged, d, d_final=d_final)
    alone = []
    for b, n in enumerate(lengths):
        trace = forward(cell, x[:n, b : b + 1], row(state0, b), reverse=reverse)
        assert_states((ragged.outputs[:n, b : b + 1],), (trace.outputs,))
        assert_states(row(ragged.final, b), trace.final)
        assert not any(s[n:, b].any() for s in (*ragged.states, found.x))
        alone.append(backward(trace, d[:n, b : b + 1], d_final=row(d_final, b)))
        assert_states((found.x[:n, b : b + 1],), (alone[-1].x,))
        assert_states(row(found.state0, b), alone[-1].state0)
    assert_parameters(alone, found)


def test_the_padding_is_never_read(cell: Cell[Any], rng: np.random.Generator) -> None:
    x, lengths = rng.standard_normal((STEPS, BATCH, INPUTS)), np.array([4, STEPS, 1])
    padding = np.arange(STEPS)[:, None] >= lengths
    resets = np.zeros((STEPS, BATCH), dtype=bool)
    clean = forward(cell, x, lengths=lengths)
    d = d_like(clean)
    expected = backward(clean, d)
    x[padding], d[padding], resets[padding] = np.nan, np.nan, True
    for reverse in (False, True):
        reference = forward(cell, np.nan_to_num(x), lengths=lengths, reverse=reverse)
        hostile = forward(cell, x, lengths=lengths, resets=resets, reverse=reverse)
        assert_states(hostile.states, reference.states)
        assert_states(hostile.final, reference.final)
    found = backward(forward(cell, x, lengths=lengths, resets=resets), d)
    assert_states((found.x, *found.initial), (expected.x, *expected.initial))
    assert_parameters([found], expected)


@pytest.mark.parametrize("split", range(1, STEPS))
def test_chunks_are_the_whole(cell: Cell[Any], rng: np.random.Generator, split: int) -> None:
    x, state0 = rng.standard_normal((STEPS, BATCH, INPUTS)), draw_states(cell, rng, BATCH)
    mask = rng.standard_normal((BATCH, cell.spec.order * cell.spec.output_size))
    keep = (0.3, 0.1)[: 2 if cell.kind == "lstm" else 1]
    resets = rng.uniform(size=(STEPS, BATCH)) < 0.3
    whole = forward(cell, x, state0, resets=resets, mask=mask, keep=keep)
    first = forward(cell, x[:split], state0, resets=resets[:split], mask=mask, keep=keep)
    second = forward(cell, x[split:], first.final, resets=resets[split:], mask=mask, keep=keep)
    assert_states(whole.final, second.final)
    assert_states((whole.outputs,), (np.concatenate((first.outputs, second.outputs)),))
    d, d_final = d_like(whole), draw_states(cell, rng, BATCH)
    later = backward(second, d[split:], d_final=d_final)
    earlier = backward(first, d[:split], d_final=later.state0)
    expected = backward(whole, d, d_final=d_final)
    assert_states(earlier.state0, expected.state0)
    assert_states((np.concatenate((earlier.x, later.x)),), (expected.x,))
    assert_parameters([earlier, later], expected)


def test_timesteps_are_the_whole(cell: Cell[Any], rng: np.random.Generator) -> None:
    x, state0 = rng.standard_normal((STEPS, BATCH, INPUTS)), draw_states(cell, rng, BATCH)
    whole = forward(cell, x, state0)
    state = state0
    for t in range(STEPS):
        y, state = cell.timestep(x[t], state)
        assert_states((y, *state), (whole.outputs[t], *(s[t] for s in whole.states)))
    assert_states(state, whole.final)


def test_zoneout_at_its_ends(cell: Cell[Any], rng: np.random.Generator) -> None:
    x, state0 = rng.standard_normal((STEPS, BATCH, INPUTS)), draw_states(cell, rng, BATCH)
    count = 2 if cell.kind == "lstm" else 1
    plain = forward(cell, x, state0)
    assert_states(forward(cell, x, state0, keep=(0.0,) * count).states, plain.states)
    held = forward(cell, x, state0, keep=(1.0,) * count)
    np.testing.assert_array_equal(held.outputs, np.broadcast_to(state0[0], held.outputs.shape))


def test_arguments_are_left_as_they_were(cell: Cell[Any], rng: np.random.Generator) -> None:
    x, state0 = rng.standard_normal((STEPS, BATCH, INPUTS)), draw_states(cell, rng, BATCH)
    resets = rng.uniform(size=(STEPS, BATCH)) < 0.3
    given = (x, resets, *state0, *cell.parameters.values())
    before = [array.copy() for array in given]
    trace = forward(cell, x, state0, resets=resets, reverse=True)
    d, d_final = d_like(trace), draw_states(cell, rng, BATCH)
    first = backward(trace, d, d_final=d_final)
    second = backward(trace, d, d_final=d_final)
    for array, copy in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert_states((first.x, *first.state0), (second.x, *second.state0))
    assert_parameters([first], second)
