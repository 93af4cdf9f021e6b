"""States as callers see them: laid out as torch.nn lays them out, and refused in clear words."""

from typing import Any

import pytest
import torch

from elman.errors import UsageError
from elman.nn import GRU, LSTM, RNN
from elman.nn.states import hand_out, take_in
from elman.spec import LayerSpec


def inside(sizes: list[int], batch: int = 3) -> list[tuple[torch.Tensor, ...]]:
    return [(torch.randn(batch, size), torch.randn(batch, 2 * size)) for size in sizes]


def test_one_width_is_stacked() -> None:
    rows = inside([4, 4, 4, 4])
    h, c = hand_out(rows, 4, 2, batched=True)
    assert (h.shape, c.shape) == ((4, 3, 4), (4, 3, 8))
    assert all(
        torch.equal(h[i], row[0]) and torch.equal(c[i], row[1]) for i, row in enumerate(rows)
    )


def test_a_width_a_layer_is_a_list() -> None:
    rows = inside([4, 4, 5, 5])
    h, c = hand_out(rows, [4, 5], 2, batched=True)
    assert [each.shape for each in h] == [(2, 3, 4), (2, 3, 5)]
    assert torch.equal(h[1][0], rows[2][0])
    assert torch.equal(c[0][1], rows[1][1])


def test_one_state_stands_alone_and_unbatched_has_no_batch() -> None:
    (h, _) = inside([4], batch=1)[0]
    found = hand_out([(h,)], 4, 1, batched=False)
    assert found.shape == (1, 4)
    assert torch.equal(found[0], h[0])


@pytest.mark.parametrize("batched", [True, False], ids=["batched", "unbatched"])
@pytest.mark.parametrize("widths", [4, [4, 6]], ids=["one_width", "two_widths"])
@pytest.mark.parametrize("directions", [1, 2])
def test_taken_in_is_what_was_handed_out(widths: Any, directions: int, batched: bool) -> None:
    sizes = [widths] * 2 if isinstance(widths, int) else widths
    specs = [[LayerSpec("lstm", 3, size, proj_size=2)] * directions for size in sizes]
    batch = 3 if batched else 1
    rows = [
        (torch.randn(batch, 2), torch.randn(batch, size))
        for size in sizes
        for _ in range(directions)
    ]
    outside = hand_out(rows, widths, directions, batched)
    found = take_in("LSTM", outside, specs, widths, batch, batched)
    assert [tuple(map(torch.Tensor.tolist, row)) for row in found] == [
        tuple(map(torch.Tensor.tolist, row)) for row in rows
    ]


H, C = torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)
WRONG: dict[str, tuple[Any, Any, str]] = {
    "no tuple": (
        LSTM(5, 4, 2),
        H,
        "[LSTM] hx must be a tuple of 2 states ('h', 'c'), found a Tensor",
    ),
    "too few": (
        LSTM(5, 4, 2),
        (H,),
        "[LSTM] hx must be a tuple of 2 states ('h', 'c'), found a tuple of 1",
    ),
    "order": (
        RNN(5, 4, 2, order=3),
        [H, H],
        "[RNN] hx must be a tuple of 3 states ('h', 'h2', 'h3'), found a list of 2",
    ),
    "no tensor": (GRU(5, 4, 2), (H,), "[GRU] hx h must be a tensor, found a tuple of 1"),
    "no tensor inside": (LSTM(5, 4, 2), (H, 0), "[LSTM] hx c must be a tensor, found a int"),
    "batch": (
        GRU(5, 4, 2),
        torch.zeros(2, 1, 4),
        "[GRU] hx h must have shape (2, 3, 4), found (2, 1, 4)",
    ),
    "layers": (
        GRU(5, 4, 2, bidirectional=True),
        H,
        "[GRU] hx h must have shape (4, 3, 4), found (2, 3, 4)",
    ),
    "projection": (
        LSTM(5, 4, 2, proj_size=3),
        (H, C),
        "[LSTM] hx h must have shape (2, 3, 3), found (2, 3, 4)",
    ),
    "widths": (
        GRU(5, [4, 6]),
        H,
        "[GRU] hx h must be a list of 2 tensors, one a layer, found a Tensor",
    ),
    "width": (
        GRU(5, [4, 6]),
        [torch.zeros(1, 3, 4), torch.zeros(1, 3, 4)],
        "[GRU] hx h must have shape (1, 3, 6), found (1, 3, 4)",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_errors(case: tuple[Any, Any, str]) -> None:
    layer, hx, message = case
    with pytest.raises(UsageError) as raised:
        layer(torch.zeros(7, 3, 5), hx)
    assert str(raised.value) == message


def test_a_state_without_a_batch() -> None:
    with pytest.raises(UsageError) as raised:
        GRU(5, 4)(torch.zeros(7, 5), torch.zeros(1, 1, 4))
    assert str(raised.value) == "[GRU] hx h must have shape (1, 4), found (1, 1, 4)"
