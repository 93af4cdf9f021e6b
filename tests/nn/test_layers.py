"""RNN, GRU and LSTM in the place of torch.nn's: called as they are, and giving what they give."""

from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from elman import nn
from elman.spec import LayerSpec

ARGUMENTS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "RNN-defaults": ("RNN", (3, 5), {}),
    "RNN-positional": ("RNN", (3, 5, 2, "relu", False, True, 0.5, True), {}),
    "RNN-named": (
        "RNN",
        (),
        {"input_size": 3, "hidden_size": 5, "num_layers": 3, "nonlinearity": "relu"},
    ),
    "GRU-defaults": ("GRU", (3, 5), {}),
    "GRU-positional": ("GRU", (3, 5, 2, False, True, 0.5, True), {}),
    "GRU-named": ("GRU", (3, 5), {"bidirectional": True, "dropout": 0.25, "num_layers": 2}),
    "LSTM-defaults": ("LSTM", (3, 5), {}),
    "LSTM-positional": ("LSTM", (3, 5, 2, False, True, 0.5, True, 2), {}),
    "LSTM-named": ("LSTM", (3, 5), {"proj_size": 4, "batch_first": True, "bias": False}),
    "dtype": ("GRU", (3, 5), {"dtype": torch.float64, "device": "cpu"}),
}
ATTRIBUTES = (
    "input_size",
    "hidden_size",
    "num_layers",
    "bias",
    "batch_first",
    "dropout",
    "bidirectional",
    "training",
)


def twins(cell: str, *arguments: Any, **named: Any) -> tuple[Any, Any]:
    """The layer of elman.nn and that of torch.nn, each drawn from the same seed."""
    layers = []
    for module in (nn, torch.nn):
        torch.manual_seed(4)
        layers.append(getattr(module, cell)(*arguments, **named))
    return layers[0], layers[1]


def assert_same(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments_attributes_and_first_draws(case: Any) -> None:
    cell, arguments, named = case
    mine, theirs = twins(cell, *arguments, **named)
    own = {"RNN": ("nonlinearity",), "GRU": (), "LSTM": ("proj_size",)}[cell]
    for name in (*ATTRIBUTES, *own):
        assert getattr(mine, name) == getattr(theirs, name), name
    state, expected = mine.state_dict(), theirs.state_dict()
    assert list(state) == list(expected)
    for name, value in expected.items():
        assert state[name].dtype == value.dtype
        assert torch.equal(state[name], value), name
    assert [[w.shape for w in row] for row in mine.all_weights] == [
        [w.shape for w in row] for row in theirs.all_weights
    ]
    mine.flatten_parameters()


@pytest.mark.parametrize("case", ARGUMENTS.values(), ids=ARGUMENTS)
def test_weights_load_both_ways(case: Any) -> None:
    cell, arguments, named = case
    mine, theirs = (layer.double().eval() for layer in twins(cell, *arguments, **named))
    for source, target in ((mine, theirs), (theirs, mine)):
        for parameter in source.parameters():
            torch.nn.init.normal_(parameter)
        target.load_state_dict(source.state_dict())
        x = torch.randn(4, 2, 3, dtype=torch.float64)
        assert_same(mine(x), theirs(x))


FORMS = {"RNN": {"nonlinearity": "relu"}, "GRU": {}, "LSTM": {"proj_size": 2}}


@pytest.mark.parametrize("start", [True, False], ids=["hx", "no_hx"])
@pytest.mark.parametrize("form", ["time_first", "batch_first", "one", "sorted", "unsorted"])
@pytest.mark.parametrize("cell", FORMS)
def test_every_form_of_input(cell: str, form: str, start: bool) -> None:
    options = FORMS[cell] | {"bidirectional": True, "batch_first": form == "batch_first"}
    mine, theirs = twins(cell, 3, 4, 2, dtype=torch.float64, **options)
    shape = (6, 3) if form == "one" else (6, 3, 3)
    x: Any = torch.randn(*shape, dtype=torch.float64)
    batch = {"batch_first": 6, "one": 1}.get(form, 3)
    if "sorted" in form:
        lengths = torch.tensor([6, 4, 1] if form == "sorted" else [4, 1, 6])
        x = pack_padded_sequence(x, lengths, enforce_sorted=form == "sorted")
    hx = None
    if start:
        hx = tuple(
            torch.randn(4, *([] if form == "one" else [batch]), size, dtype=torch.float64)
            for size in mine.specs[0][0].state_sizes.values()
        )
        hx = hx if len(hx) > 1 else hx[0]
    (found, final), (expected, expected_final) = mine(x, hx), theirs(x, hx)
    assert_same(final, expected_final)
    assert type(final) is type(expected_final)
    if not isinstance(x, PackedSequence):
        return assert_same(found, expected)
    assert isinstance(found, PackedSequence)
    for name, value in zip(PackedSequence._fields, expected, strict=True):
        if value is None:
            assert getattr(found, name) is None, name
        else:
            assert_same(getattr(found, name), value)


@pytest.mark.parametrize("bias", [True, False])
def test_forget_bias(bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(3, 4, 2, bias=bias, bidirectional=True, forget_bias=1.5)
    torch.manual_seed(0)
    plain = nn.LSTM(3, 4, 2, bias=bias, bidirectional=True)
    for name, parameter in layer.named_parameters():
        expected = plain.get_parameter(name).detach().clone()
        if name.startswith("bias"):
            expected[4:8] = 1.5 if "_ih" in name else 0.0  # the rows of f in i f g o
        assert torch.equal(parameter, expected), name
    layer.reset_parameters()
    assert not bias or layer.bias_ih_l1[4:8].tolist() == [1.5] * 4


def test_options_reach_the_specification() -> None:
    assert nn.RNN(3, 4, order=2).specs == [[LayerSpec("elman", 3, 4, order=2)]]
    layer = nn.LSTM(3, 4, 2, proj_size=2, peephole=True, layer_norm=True, bidirectional=True)
    first = LayerSpec("lstm", 3, 4, proj_size=2, peephole=True, layer_norm=True)
    above = LayerSpec("lstm", 4, 4, proj_size=2, peephole=True, layer_norm=True)
    assert layer.specs == [[first, first], [above, above]]
    assert nn.GRU(3, 4, learn_initial_state=True).initial_h_l0.tolist() == [0.0] * 4
    assert nn.GRU(3, 4, layer_norm=True).norm_hh_l0.tolist() == [1.0] * 12
    assert nn.LSTM(3, 4, layer_norm=True).norm_c_bias_l0.tolist() == [0.0] * 4
