"""What all stacks share: dropout, draws, widths, copies, printing, and gradients of gradients."""

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from elman import nn
from elman.errors import UsageError

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("RNN", {"order": 2}),
    "gru": ("GRU", {"layer_norm": True}),
    "lstm": ("LSTM", {"peephole": True, "proj_size": 2}),
}


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    torch.manual_seed(11)


def make(name: str, *sizes: Any, **options: Any) -> Any:
    cell, own = KINDS[name]
    layer = getattr(nn, cell)(*sizes, dtype=torch.float64, **own, **options)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, 0.1, 0.5)
    return layer


def rand(*shape: int, requires_grad: bool = False) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=requires_grad)


def assert_same(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_dropout_is_between_layers_and_in_training() -> None:
    layer = nn.RNN(1, 500, 2, nonlinearity="relu", bias=False, dropout=0.3, dtype=torch.float64)
    with torch.no_grad():
        for name, value in (("ih_l0", 1.0), ("hh_l0", 0.0), ("hh_l1", 0.0)):
            layer.get_parameter(f"weight_{name}").fill_(value)
        layer.weight_ih_l1.copy_(torch.eye(500))  # the upper layer shows the lower one's output
    x = torch.ones(40, 3, 1, dtype=torch.float64)
    outputs, _ = layer(x)
    dropped = outputs == 0
    assert abs(dropped.double().mean() - 0.3) < 0.01
    assert_same(outputs[~dropped], torch.full_like(outputs[~dropped], 1 / 0.7))
    assert not torch.equal(dropped[0], dropped[1])  # anew at every timestep
    assert_same(layer.eval()(x)[0], torch.ones_like(outputs))
    single = nn.RNN(1, 4, dropout=0.9)
    assert torch.equal(single(x[:, :, :1].float())[0], single.eval()(x.float())[0])


def test_recurrent_dropout_draws_one_mask_a_sequence() -> None:
    layer = nn.RNN(
        1, 400, nonlinearity="relu", bias=False, recurrent_dropout=0.25, dtype=torch.float64
    )
    with torch.no_grad():
        layer.weight_ih_l0.fill_(0.0)
        layer.weight_hh_l0.copy_(torch.eye(400))  # the state is what is left of the last one
    x, start = torch.zeros(5, 20, 1, dtype=torch.float64), torch.ones(1, 20, 400).double()
    outputs, _ = layer(x, start)
    kept = outputs[0] != 0
    assert abs(kept.double().mean() - 0.75) < 0.01
    for t in range(5):  # the same units every time, and 1 / 0.75 in torch's single precision
        expected = kept / 0.75 ** (t + 1)
        torch.testing.assert_close(outputs[t], expected.double(), rtol=3e-7, atol=0)
    assert not torch.equal(kept[0], kept[1])
    assert not torch.equal(layer(x, start)[0], outputs)
    assert_same(layer.eval()(x, start)[0], start.expand(5, 20, 400))


def test_zoneout_draws_at_every_timestep_and_expects_in_evaluation() -> None:
    layer = nn.RNN(1, 400, nonlinearity="relu", bias=False, zoneout=0.25, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_ih_l0.fill_(1.0)
        layer.weight_hh_l0.fill_(0.0)  # the candidate is 1, 2, 3 ...
    x = torch.arange(1.0, 6.0, dtype=torch.float64)[:, None, None].expand(5, 20, 1)
    start = torch.full((1, 20, 400), 0.5).double()
    outputs, final = layer(x, start)
    before = torch.cat((start, outputs[:-1]))
    kept = outputs == before
    assert_same(outputs, torch.where(kept, before, x))
    assert_same(final[0], outputs[-1])
    assert abs(kept.double().mean() - 0.25) < 0.01
    assert not torch.equal(kept[0], kept[1])
    expected, state = [], start[0]
    for t in range(5):
        state = 0.25 * state + 0.75 * x[t]
        expected.append(state)
    assert_same(layer.eval()(x, start)[0], torch.stack(expected))


def test_zoneout_of_one_state_spares_the_other() -> None:
    layer = nn.LSTM(2, 300, zoneout=(0.0, 0.5), dtype=torch.float64)
    h, c = rand(1, 4, 300), rand(1, 4, 300)
    _, (h_after, c_after) = layer(rand(1, 4, 2), (h, c))
    assert abs((c_after == c).double().mean() - 0.5) < 0.05
    assert not (h_after == h).any()


@pytest.mark.parametrize("bidirectional", [False, True], ids=["oneway", "bothways"])
@pytest.mark.parametrize("name", KINDS)
def test_a_width_a_layer_is_a_chain_of_layers(name: str, bidirectional: bool) -> None:
    widths, x = [5, 3, 4], rand(6, 2, 3)
    stack = make(name, 3, widths, bidirectional=bidirectional).eval()
    found, final = stack(x)
    y, finals = x, []
    for level, width in enumerate(widths):
        single = make(name, y.shape[-1], width, bidirectional=bidirectional).eval()
        own = {n: p for n, p in stack.state_dict().items() if f"_l{level}" in n}
        single.load_state_dict({n.replace(f"_l{level}", "_l0"): p for n, p in own.items()})
        y, state = single(y)
        finals.append(state)
    assert_same(found, y)
    by_name = zip(*finals, strict=True) if isinstance(final, tuple) else [finals]
    expected = [list(each) for each in by_name]
    assert_same(list(final) if isinstance(final, tuple) else [final], expected)
    head, state = stack(x[:2])
    if not bidirectional:
        tail, last = stack(x[2:], state)
        assert_same((torch.cat((head, tail)), last), (found, final))
        y, _ = stack.step(x[2], state)
        assert_same(y, found[2])
    assert stack.num_layers == 3


@pytest.mark.parametrize("name", KINDS)
def test_initial_state(name: str) -> None:
    plain, learned = make(name, 3, 4, 2), make(name, 3, 4, 2, learn_initial_state=True)
    x = rand(5, 3, 3)
    for layer in (plain, learned):
        state = layer.initial_state(3)
        assert_same(layer(x, state), layer(x))
        alone = layer.initial_state(None)
        assert_same(layer(x[:, 0], alone), layer(x[:, 0]))
    flat = state if isinstance(state, tuple) else (state,)
    for each, part in zip(flat, learned.specs[0][0].state_sizes, strict=True):
        for level in (0, 1):
            row = learned.get_parameter(f"initial_{part}_l{level}")
            assert_same(each[level], row.expand(3, -1))
    zeros = plain.initial_state(2)
    assert not any(each.any() for each in (zeros if isinstance(zeros, tuple) else (zeros,)))


def test_step_takes_a_batch_or_one() -> None:
    for batch_first in (False, True):
        layer = make("gru", 3, 4, batch_first=batch_first)
        x, h = rand(2, 3), rand(1, 2, 4)
        y, state = layer.step(x, h)
        assert_same(y, state[0])
        one, one_state = layer.step(x[1], h[:, 1])
        assert_same((one, one_state), (y[1], state[:, 1]))


@pytest.mark.parametrize("name", KINDS)
def test_trajectory_in_every_form(name: str) -> None:
    layer = make(name, 3, 4, 2, bidirectional=True)
    x, lengths = rand(5, 2, 3), [5, 2]
    every = layer.trajectory(x, lengths=lengths)
    every = every if isinstance(every, tuple) else (every,)
    outputs, _ = layer(x, lengths=lengths)
    assert_same(torch.cat(tuple(every[0][-2:]), dim=-1), outputs)
    assert all(not each[:, 2:, 1].any() for each in every)
    layer.batch_first = True
    turned = layer.trajectory(x.transpose(0, 1), lengths=lengths)
    turned = turned if isinstance(turned, tuple) else (turned,)
    assert_same(turned, tuple(each.transpose(1, 2) for each in every))
    one = layer.trajectory(x[:2, 1])
    one = one if isinstance(one, tuple) else (one,)
    assert_same(one, tuple(each[:, :2, 1] for each in every))


@pytest.mark.parametrize("name", KINDS)
def test_copies(name: str) -> None:
    layer = make(name, 3, [4, 5], learn_initial_state=True).eval()
    x = rand(5, 2, 3)
    expected = layer(x)
    twin = copy.deepcopy(layer)
    assert_same(twin(x), expected)
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    other = make(name, 3, [4, 5], learn_initial_state=True).eval()
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert_same(other(x), expected)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert_same(layer(x), expected)  # the copy shares nothing
    single = layer.to(torch.float32)(x.float())
    torch.testing.assert_close(single[0].double(), expected[0], rtol=0, atol=1e-5)
    assert single[0].dtype == torch.float32


def test_gradients_accumulate() -> None:
    layer, x = make("lstm", 3, 4), rand(5, 2, 3)
    layer(x)[0].sum().backward()
    once = [p.grad.clone() for p in layer.parameters()]
    layer(x)[0].sum().backward()
    assert_same([p.grad for p in layer.parameters()], [2 * g for g in once])


@pytest.mark.parametrize("name", KINDS)
def test_gradients_of_each_sample(name: str) -> None:
    layer, x = make(name, 3, 4), rand(3, 5, 3)  # (samples, T, D)
    parameters = dict(layer.named_parameters())

    def loss(p: dict[str, Tensor], sequence: Tensor) -> Tensor:
        outputs, _ = functional_call(layer, p, (sequence,))
        total: Tensor = outputs.square().sum()
        return total

    with nn.implementation("loop"):
        found = vmap(grad(loss), in_dims=(None, 0))(parameters, x)
        for i, sequence in enumerate(x):
            gradients = torch.autograd.grad(loss(parameters, sequence), list(parameters.values()))
            for (n, _), expected in zip(parameters.items(), gradients, strict=True):
                assert_same(found[n][i], expected)


@pytest.mark.parametrize("name", KINDS)
def test_gradients_of_gradients(name: str) -> None:
    layer = make(name, 2, 3)
    x = rand(2, 2, 2, requires_grad=True)
    resets = torch.tensor([[False, False], [True, False]])

    def run(x: Tensor, weight: Tensor) -> Tensor:
        given = {"weight_hh_l0": weight}
        outputs: Tensor = functional_call(layer, given, (x,), {"resets": resets})[0]
        return outputs

    with nn.implementation("loop"):
        assert torch.autograd.gradgradcheck(run, (x, layer.weight_hh_l0))


SHOWN: dict[str, tuple[Any, str]] = {
    "plain": (nn.GRU(3, 4), "GRU(3, 4, num_layers=1)"),
    "torch's": (
        nn.LSTM(3, 4, 2, False, True, 0.5, True, 2),
        "LSTM(3, 4, num_layers=2, batch_first=True, dropout=0.5, bidirectional=True, bias=False, "
        "proj_size=2)",
    ),
    "ours": (
        nn.RNN(3, [4, 5], order=2, nonlinearity="relu", zoneout=0.1, recurrent_dropout=0.2),
        "RNN(3, [4, 5], num_layers=2, recurrent_dropout=0.2, zoneout=(0.1,), nonlinearity=relu, "
        "order=2)",
    ),
    "more of ours": (
        nn.LSTM(3, 4, peephole=True, layer_norm=True, learn_initial_state=True),
        "LSTM(3, 4, num_layers=1, peephole=True, layer_norm=True, learn_initial_state=True)",
    ),
}


@pytest.mark.parametrize("case", SHOWN.values(), ids=SHOWN)
def test_printing(case: tuple[Any, str]) -> None:
    layer, text = case
    assert repr(layer) == text


WRONG: dict[str, tuple[Any, str]] = {
    "dropout": (
        lambda: nn.GRU(3, 4, dropout=1.5),
        "[GRU] dropout must be a number from 0 to 1, found 1.5",
    ),
    "dropout as a flag": (
        lambda: nn.RNN(3, 4, dropout=True),
        "[RNN] dropout must be a number from 0 to 1, found True",
    ),
    "recurrent_dropout": (
        lambda: nn.LSTM(3, 4, recurrent_dropout=-0.1),
        "[LSTM] recurrent_dropout must be a number from 0 to 1, found -0.1",
    ),
    "zoneout": (
        lambda: nn.LSTM(3, 4, zoneout=(0.1, float("nan"))),
        "[LSTM] zoneout must be a number from 0 to 1, found nan",
    ),
    "count of zoneout": (
        lambda: nn.LSTM(3, 4, zoneout=(0.1,)),
        "[LSTM] zoneout must be one number or one for each of ('h', 'c')",
    ),
    "no layers": (lambda: nn.GRU(3, 4, 0), "[GRU] num_layers must be at least 1, found 0"),
    "count of widths": (
        lambda: nn.GRU(3, [4, 5], 3),
        "[GRU] hidden_size lists 2 layers, num_layers 3",
    ),
    "no widths": (lambda: nn.GRU(3, []), "[GRU] hidden_size lists 0 layers, num_layers 1"),
    "hidden_size": (lambda: nn.GRU(3, 0), "[layer] hidden_size must be at least 1, found 0"),
    "nonlinearity": (
        lambda: nn.RNN(3, 4, nonlinearity="gelu"),
        "[layer] nonlinearity must be one of tanh, relu, found 'gelu'",
    ),
    "projection": (
        lambda: nn.LSTM(3, 4, proj_size=4),
        "[layer] proj_size must be from 0 to hidden_size - 1 = 3, found 4",
    ),
    "step both ways": (
        lambda: nn.LSTM(3, 4, bidirectional=True).step(torch.zeros(2, 3)),
        "[LSTM] a step needs the past only, found bidirectional=True; use forward",
    ),
    "step of a sequence": (
        lambda: nn.LSTM(3, 4).step(torch.zeros(5, 2, 3)),
        "[LSTM] step takes x (B, D) or (D,), found (5, 2, 3)",
    ),
    "lengths": (
        lambda: nn.LSTM(3, 4)(torch.zeros(5, 2, 3), lengths=[5, 6]),
        "[LSTM] lengths must be between 1 and T=5, found 6 at batch index 1; clip or pad the "
        "sequence",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_errors(case: tuple[Any, str]) -> None:
    run, message = case
    with pytest.raises(UsageError) as raised:
        run()
    assert str(raised.value) == message
