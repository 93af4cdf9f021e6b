"""The loop over time with a step whose results can be counted by hand: a running sum."""

from typing import Any

import pytest
import torch

from elman.nn.loop import Conditions, clear_padding, run

X = torch.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0], [8.0, 80.0]])[..., None]  # (T, B, 1)
START = (torch.tensor([[100.0], [200.0]]),)


def add(x: torch.Tensor, state: Any) -> Any:
    total = (state[0] + x,)
    return total[0], total


CASES: dict[str, tuple[Conditions, list[list[float]], list[float]]] = {
    "nothing": (
        Conditions(),
        [[101, 210], [103, 230], [107, 270], [115, 350]],
        [115, 350],
    ),
    "lengths": (
        Conditions(lengths=torch.tensor([2, 4])),
        [[101, 210], [103, 230], [0, 270], [0, 350]],
        [103, 350],
    ),
    "resets": (
        Conditions(
            resets=torch.tensor([[1, 0], [0, 0], [0, 1], [0, 1]]).bool(),
            initial=(torch.tensor([0.5]),),
        ),
        [[1.5, 210], [3.5, 230], [7.5, 40.5], [15.5, 80.5]],
        [15.5, 80.5],
    ),
    "resets in padding": (
        Conditions(
            lengths=torch.tensor([2, 4]),
            resets=torch.tensor([[0, 0], [0, 0], [1, 0], [1, 0]]).bool(),
            initial=(torch.tensor([0.5]),),
        ),
        [[101, 210], [103, 230], [0, 270], [0, 350]],
        [103, 350],
    ),
    "zoneout": (
        Conditions(keep=(torch.tensor([[1, 0.5], [0, 0], [0, 0], [1, 1]])[..., None],)),
        [[100, 205], [102, 225], [106, 265], [106, 265]],
        [106, 265],
    ),
    "zoneout after a reset keeps the initial state": (
        Conditions(
            resets=torch.tensor([[0, 0], [1, 1], [0, 0], [0, 0]]).bool(),
            initial=(torch.tensor([0.5]),),
            keep=(torch.tensor([[0, 0], [1, 0.5], [0, 0], [0, 0]])[..., None],),
        ),
        [[101, 210], [0.5, 10.5], [4.5, 50.5], [12.5, 130.5]],
        [12.5, 130.5],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_conditions(case: tuple[Conditions, list[list[float]], list[float]]) -> None:
    around, outputs, final = case
    found, states, last = run(add, X, START, around)
    assert found[..., 0].tolist() == outputs
    assert states[0][..., 0].tolist() == outputs
    assert last[0][:, 0].tolist() == final


def test_padding_of_any_rank_and_type_is_cleared() -> None:
    lengths = torch.tensor([1, 2])
    assert clear_padding(torch.ones(2, 2, dtype=torch.long), lengths).tolist() == [[1, 1], [0, 1]]
    pictures = clear_padding(torch.full((2, 2, 3, 3), torch.nan), lengths)
    assert not pictures[1, 0].any()
    assert pictures.isnan().sum() == 27
    assert clear_padding(X, None) is X


@pytest.mark.parametrize("name", ["lengths", "resets", "mask", "keep"])
def test_plain_is_without_any_condition(name: str) -> None:
    values: dict[str, Any] = {name: torch.ones(1) if name != "keep" else (None,)}
    assert Conditions(initial=START).plain
    assert not Conditions(**values).plain
