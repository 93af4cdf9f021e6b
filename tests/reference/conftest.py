"""The cases every test of a cell runs over: each option alone, and all of them together."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from elman.reference import build
from elman.spec import CELLS, LayerSpec

STEPS, BATCH = 5, 3
SPEC_OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "elman": {"relu": {"nonlinearity": "relu"}, "order3": {"order": 3}},
    "gru": {},
    "lstm": {"peephole": {"peephole": True}, "proj": {"proj_size": 2}},
}
SHARED_OPTIONS: dict[str, dict[str, Any]] = {
    "no_bias": {"bias": False},
    "layer_norm": {"layer_norm": True},
    "learn_initial_state": {"learn_initial_state": True},
}
RUN_OPTIONS = ("resets", "initial", "lengths", "mask", "keep", "reverse", "no_state")


@dataclass(frozen=True)
class Case:
    """A specification, and the names of the options with which it is run."""

    label: str
    spec: LayerSpec
    run: frozenset[str] = field(default_factory=frozenset)


def make_case(cell: str, *options: str) -> Case:
    changes: dict[str, Any] = {}
    for option in options:
        changes |= (SPEC_OPTIONS[cell] | SHARED_OPTIONS).get(option, {})
    spec = LayerSpec(cell, input_size=2, hidden_size=3, **changes)
    return Case("-".join((cell, *options)), spec, frozenset(options) & frozenset(RUN_OPTIONS))


def all_cases() -> list[Case]:
    cases = []
    for cell in CELLS:
        own = tuple(name for name in SPEC_OPTIONS[cell] if name != "relu")
        learned = (*own, "layer_norm", "learn_initial_state")
        ragged = ("resets", "lengths", "mask", "keep")
        combinations = [
            (),
            *((name,) for name in SPEC_OPTIONS[cell] | SHARED_OPTIONS),
            *((name,) for name in RUN_OPTIONS if name != "initial"),
            ("resets", "initial"),
            ("resets", "reverse"),
            ("lengths", "reverse"),
            ("lengths", "resets", "reverse", "initial"),
            (*own, "keep", "resets"),
            ("learn_initial_state", "no_state"),
            ("learn_initial_state", "initial", "resets"),
            (*own, "layer_norm", "no_bias"),
            (*learned, *ragged),
            (*learned, *ragged, "reverse"),
            (*learned, *ragged, "reverse", "no_state"),
        ]
        cases += [make_case(cell, *names) for names in combinations]
    return cases


@pytest.fixture(params=all_cases(), ids=lambda case: case.label)
def problem(request: pytest.FixtureRequest) -> SimpleNamespace:
    """A cell with dense parameters, a sequence, its options, and a loss that reads everything."""
    case: Case = request.param
    spec, rng = case.spec, np.random.default_rng(7)
    sizes = spec.state_sizes.values()
    parameters = {n: 0.6 * rng.standard_normal(s) for n, s in spec.parameter_shapes.items()}
    bases = len(CELLS[spec.cell].states)
    base_sizes = (spec.output_size, spec.hidden_size)[:bases]
    options: dict[str, Any] = {
        # A mark before the first step, two in a row, and one in what lengths makes padding.
        "resets": np.array([[0, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 0], [1, 0, 1]], dtype=bool),
        "initial": tuple(rng.standard_normal(size) for size in sizes),
        "lengths": np.array([3, 5, 4]),
        "mask": rng.standard_normal((BATCH, spec.order * spec.output_size)),
        "keep": tuple(rng.uniform(size=(STEPS, BATCH, size)) for size in base_sizes),
        "reverse": True,
    }
    state0 = tuple(rng.standard_normal((BATCH, size)) for size in sizes)
    return SimpleNamespace(
        spec=spec,
        cell=build(spec, parameters),
        x=rng.standard_normal((STEPS, BATCH, spec.input_size)),
        state0=None if "no_state" in case.run else state0,
        options={name: value for name, value in options.items() if name in case.run},
        d_outputs=rng.standard_normal((STEPS, BATCH, spec.output_size)),
        d_states=tuple(rng.standard_normal((STEPS, BATCH, size)) for size in sizes),
        d_final=tuple(rng.standard_normal((BATCH, size)) for size in sizes),
    )
