"""What a caller may pass, in and out again, and what is refused in which words."""

from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from elman.errors import UsageError
from elman.nn.door import enter

X = torch.arange(24.0).reshape(4, 2, 3)  # (T, B, D)


def test_time_major_stays() -> None:
    entered = enter("GRU", X, 3, None, None, False)
    assert entered.x is X
    assert entered.leave(X) is X
    assert (entered.lengths, entered.resets, entered.batched) == (None, None, True)


def test_batch_first_is_turned_with_its_resets() -> None:
    resets = [[0, 1, 0, 0], [0, 0, 0, 1]]  # any truth values, (B, T)
    entered = enter("GRU", X.transpose(0, 1), 3, [4, 1], resets, True)
    assert torch.equal(entered.x, X)
    assert entered.resets is not None
    assert entered.resets.dtype == torch.bool
    assert entered.resets.nonzero().tolist() == [[1, 0], [3, 1]]
    assert entered.lengths is not None
    assert entered.lengths.tolist() == [4, 1]
    assert torch.equal(entered.leave(X), X.transpose(0, 1))


@pytest.mark.parametrize("batch_first", [False, True])
def test_one_sequence_gains_a_batch_and_loses_it(batch_first: bool) -> None:
    entered = enter("GRU", X[:, 0], 3, 2, [True, False, False, True], batch_first)
    assert torch.equal(entered.x, X[:, :1])
    assert entered.resets is not None
    assert entered.resets[:, 0].tolist() == [True, False, False, True]
    assert entered.lengths is not None
    assert entered.lengths.tolist() == [2]
    assert torch.equal(entered.leave(X[:, :1]), X[:, 0])


@pytest.mark.parametrize("enforce_sorted", [False, True], ids=["unsorted", "sorted"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_packed_is_packed_again(enforce_sorted: bool, batch_first: bool) -> None:
    lengths = torch.tensor([4, 2] if enforce_sorted else [2, 4])
    packed = pack_padded_sequence(X, lengths, enforce_sorted=enforce_sorted)
    entered = enter("GRU", packed, 3, None, None, batch_first)
    assert entered.lengths is not None
    assert entered.lengths.tolist() == lengths.tolist()
    padded, _ = pad_packed_sequence(packed)
    assert torch.equal(entered.x, padded)
    left = entered.leave(entered.x)
    for name in ("data", "batch_sizes", "sorted_indices", "unsorted_indices"):
        found, expected = getattr(left, name), getattr(packed, name)
        assert found is expected if expected is None else torch.equal(found, expected), name


def test_any_trailing_shape_where_features_are_free() -> None:
    pictures, tokens = torch.zeros(4, 2, 5, 5), torch.zeros(4, 2, dtype=torch.long)
    assert enter("Recurrent", pictures, None, None, None, False).x is pictures
    entered = enter("Recurrent", tokens, None, None, None, False)
    assert entered.batched
    assert entered.x is tokens


PACKED = pack_padded_sequence(X, torch.tensor([4, 2]))
WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "dimensions": (
        torch.zeros(3),
        {},
        "input must have 3 dimensions, or 2 without a batch, found shape (3,)",
    ),
    "features": (torch.zeros(4, 2, 5), {}, "input must have shape (T, B, 3), found (4, 2, 5)"),
    "no timestep": (
        torch.zeros(0, 2, 3),
        {},
        "input must have at least one timestep and one sequence, found T=0, B=2",
    ),
    "no sequence": (
        torch.zeros(4, 0, 3),
        {},
        "input must have at least one timestep and one sequence, found T=4, B=0",
    ),
    "lengths twice": (
        PACKED,
        {"lengths": [4, 2]},
        "lengths come with a PackedSequence; found both, give one",
    ),
    "count of lengths": (X, {"lengths": [4]}, "lengths must have shape (2,), found (1,)"),
    "type of lengths": (
        X,
        {"lengths": [1.0, 2.0]},
        "lengths must be integers, found torch.float32",
    ),
    "length 0": (
        X,
        {"lengths": [4, 0]},
        "lengths must be between 1 and T=4, found 0 at batch index 1; clip or pad the sequence",
    ),
    "length beyond": (
        X,
        {"lengths": torch.tensor([5, -1])},
        "lengths must be between 1 and T=4, found 5 at batch index 0; clip or pad the sequence",
    ),
    "resets": (
        X,
        {"resets": torch.zeros(2, 4)},
        "resets must have shape (4, 2), found (2, 4)",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_errors(case: tuple[Any, dict[str, Any], str]) -> None:
    x, given, message = case
    with pytest.raises(UsageError) as raised:
        enter("GRU", x, 3, given.get("lengths"), given.get("resets"), False)
    assert str(raised.value) == f"[GRU] {message}"
