"""A sequence layer around a user's cell: as the built-in layer where the cell is the same."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from elman.errors import UsageError
from elman.nn import GRU, LSTM, Recurrent


class GRUCell(nn.Module):
    """``torch.nn.GRUCell``, called as a cell of ``Recurrent``: the state is a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.GRUCell(3, 4, dtype=torch.float64)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        h = self.inner(x, h)
        return h, h

    def initial_state(self, batch: int) -> Tensor:
        return torch.full((batch, 4), 0.0, dtype=torch.float64)


class LSTMCell(nn.Module):
    """``torch.nn.LSTMCell`` with its state nested one deeper than it need be: ((h,), c)."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.LSTMCell(3, 4, dtype=torch.float64)

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        (h,), c = state
        h, c = self.inner(x, (h, c))
        return h, ((h,), c)

    def initial_state(self, batch: int) -> Any:
        zeros = torch.zeros(batch, 4, dtype=torch.float64)
        return (zeros,), zeros


def flat(state: Any) -> list[Tensor]:
    """The tensors of a state (B, ·), as of a built-in layer's (1, B, ·)."""
    if isinstance(state, Tensor):
        return [state.reshape(state.shape[-2:])]
    return [leaf for each in state for leaf in flat(each)]


def pair(name: str) -> tuple[Recurrent, Any]:
    torch.manual_seed(2)
    cell = GRUCell() if name == "gru" else LSTMCell()
    built_in = (GRU if name == "gru" else LSTM)(3, 4, dtype=torch.float64)
    built_in.load_state_dict({f"{n}_l0": p for n, p in cell.inner.state_dict().items()})
    return Recurrent(cell), built_in


def states_of(name: str, batch: int) -> tuple[Any, Any]:
    h, c = torch.randn(2, batch, 4, dtype=torch.float64)
    return (h, h[None]) if name == "gru" else (((h,), c), (h[None], c[None]))


def same(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=1e-13)
    torch.testing.assert_close(flat(found[1]), flat(expected[1]), rtol=0, atol=1e-13)


@pytest.mark.parametrize("start", [True, False], ids=["hx", "no_hx"])
@pytest.mark.parametrize("how", ["", "lengths", "resets", "lengths resets"])
@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_values_and_gradients_are_those_of_the_layer(name: str, how: str, start: bool) -> None:
    recurrent, built_in = pair(name)
    x = torch.randn(5, 3, 3, dtype=torch.float64)
    options = {"lengths": [3, 5, 1], "resets": torch.rand(5, 3) < 0.4}
    given = {key: value for key, value in options.items() if key in how}
    if "lengths" in how:
        x[3:, 0] = x[1:, 2] = float("nan")
    hx, built_in_hx = states_of(name, 3) if start else (None, None)
    found, expected = recurrent(x, hx, **given), built_in(x, built_in_hx, **given)
    same(found, expected)
    weights = torch.randn_like(found[0])
    for outputs, state in (found, expected):
        ((outputs * weights).sum() + sum(s.square().sum() for s in flat(state))).backward()
    for parameter, twin in zip(recurrent.parameters(), built_in.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, twin.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_whole_is_chunks_is_timesteps(name: str) -> None:
    recurrent, _ = pair(name)
    x = torch.randn(5, 3, 3, dtype=torch.float64)
    whole = recurrent(x)
    for split in range(1, 5):
        head, state = recurrent(x[:split])
        tail, final = recurrent(x[split:], state)
        same((torch.cat((head, tail)), final), whole)
    state = None
    for t in range(5):
        y, state = recurrent.step(x[t], state)
        torch.testing.assert_close(y, whole[0][t], rtol=0, atol=1e-13)
    same((whole[0], state), whole)


def test_batch_first_and_packed() -> None:
    recurrent, built_in = pair("gru")
    x, resets = torch.randn(5, 3, 3, dtype=torch.float64), torch.rand(5, 3) < 0.4
    outputs, final = recurrent(x, resets=resets)
    turned = Recurrent(recurrent.cell, batch_first=True)
    found, found_final = turned(x.transpose(0, 1), resets=resets.T)
    same((found.transpose(0, 1), found_final), (outputs, final))
    packed = pack_padded_sequence(x, torch.tensor([3, 5, 1]), enforce_sorted=False)
    found, found_final = recurrent(packed)
    expected, expected_final = built_in(packed)
    same(
        (pad_packed_sequence(found)[0], found_final),
        (pad_packed_sequence(expected)[0], expected_final),
    )


def test_states_and_inputs_of_any_shape() -> None:
    """A running sum of pictures, and of how many: states (B, C, H, W) and (B,)."""

    def cell(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        total, count = state
        return total + x, (total + x, count + 1)

    cell.initial_state = lambda batch: (torch.zeros(batch, 2, 3, 3), torch.zeros(batch))
    x = torch.randn(4, 3, 2, 3, 3)
    resets = torch.zeros(4, 3, dtype=torch.bool)
    resets[2, 1] = True
    outputs, (total, count) = Recurrent(cell)(x, lengths=[2, 4, 3], resets=resets)
    assert count.tolist() == [2, 2, 3]
    torch.testing.assert_close(total[0], x[:2, 0].sum(0))
    torch.testing.assert_close(total[1], x[2:, 1].sum(0))
    torch.testing.assert_close(outputs[:3, 2], x[:3, 2].cumsum(0))
    assert not outputs[3, 2].any()


def test_token_inputs() -> None:
    embedding = nn.Embedding(5, 4)

    def cell(x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        h = h + embedding(x)
        return h, h

    x = torch.tensor([[1, 2], [3, 4]])  # (T, B)
    _, final = Recurrent(cell)(x, torch.zeros(2, 4), lengths=[2, 1])
    torch.testing.assert_close(final[0], embedding.weight[1] + embedding.weight[3])
    torch.testing.assert_close(final[1], embedding.weight[2])


def echo(x: Tensor, h: Any) -> tuple[Tensor, Any]:
    return x, h


WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no start": (
        echo,
        {},
        "a start without hx, or a reset, needs cell.initial_state(batch), found none on function; "
        "add the method or pass hx",
    ),
    "no start for resets": (
        echo,
        {"hx": torch.zeros(2, 1), "resets": torch.ones(3, 2, dtype=torch.bool)},
        "a start without hx, or a reset, needs cell.initial_state(batch), found none on function; "
        "add the method or pass hx",
    ),
    "dict state": (
        echo,
        {"hx": {"h": torch.zeros(2, 1)}},
        "a state must be a tensor or a tuple of them, found dict",
    ),
    "another form of state": (
        lambda x, h: (x, (h, h)),
        {"hx": torch.zeros(2, 1)},
        "the cell must return a state formed as the one it was given, found 2 tensors instead of 1",
    ),
    "lengths": (
        echo,
        {"hx": torch.zeros(2, 1), "lengths": [3, 4]},
        "lengths must be between 1 and T=3, found 4 at batch index 1; clip or pad the sequence",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_errors(case: tuple[Any, dict[str, Any], str]) -> None:
    cell, given, message = case
    with pytest.raises(UsageError) as raised:
        Recurrent(cell)(torch.zeros(3, 2, 1), **given)
    assert str(raised.value) == f"[Recurrent] {message}"


def test_an_input_without_a_batch_is_refused() -> None:
    with pytest.raises(UsageError) as raised:
        Recurrent(echo)(torch.zeros(3), torch.zeros(1))
    assert str(raised.value) == ("[Recurrent] input must have shape (T, B, ...), found shape (3,)")
