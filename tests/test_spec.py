"""The table against PyTorch's own layers, and the sentences of its errors."""

import dataclasses
from typing import Any

import pytest
import torch

from elman.errors import UsageError
from elman.spec import CELLS, LayerSpec, suffix

LIKE_TORCH: dict[str, tuple[type[torch.nn.RNNBase], dict[str, Any], LayerSpec]] = {
    "elman": (torch.nn.RNN, {}, LayerSpec("elman", 3, 5)),
    "elman-no_bias": (torch.nn.RNN, {"bias": False}, LayerSpec("elman", 3, 5, bias=False)),
    "gru": (torch.nn.GRU, {}, LayerSpec("gru", 3, 5)),
    "lstm": (torch.nn.LSTM, {}, LayerSpec("lstm", 3, 5)),
    "lstm-proj": (torch.nn.LSTM, {"proj_size": 2}, LayerSpec("lstm", 3, 5, proj_size=2)),
    "lstm-proj-no_bias": (
        torch.nn.LSTM,
        {"proj_size": 2, "bias": False},
        LayerSpec("lstm", 3, 5, proj_size=2, bias=False),
    ),
}


@pytest.mark.parametrize("case", LIKE_TORCH.values(), ids=LIKE_TORCH)
def test_names_order_and_shapes_are_those_of_torch(case: Any) -> None:
    kind, options, spec = case
    expected = [(name, tuple(p.shape)) for name, p in kind(3, 5, **options).named_parameters()]
    assert [(name + suffix(0), shape) for name, shape in spec.parameter_shapes.items()] == expected


def test_suffixes_are_those_of_torch() -> None:
    layer = torch.nn.GRU(1, 1, num_layers=2, bidirectional=True, bias=False)
    names = [
        name + suffix(level, reverse)
        for level in (0, 1)
        for reverse in (False, True)
        for name in ("weight_ih", "weight_hh")
    ]
    assert names == [name for name, _ in layer.named_parameters()]


def test_the_cells() -> None:
    assert {name: (cell.gates, cell.states) for name, cell in CELLS.items()} == {
        "elman": (("h",), ("h",)),
        "gru": (("r", "z", "n"), ("h",)),
        "lstm": (("i", "f", "g", "o"), ("h", "c")),
    }
    assert LayerSpec("lstm", 1, 1).gates == CELLS["lstm"].gates


OPTIONS: dict[str, tuple[LayerSpec, dict[str, tuple[int, ...]]]] = {
    "order3": (
        LayerSpec("elman", 3, 5, order=3),
        {"weight_ih": (5, 3), "weight_hh": (5, 15), "bias_ih": (5,), "bias_hh": (5,)},
    ),
    "gru-layer_norm-learned": (
        LayerSpec("gru", 3, 5, layer_norm=True, learn_initial_state=True, bias=False),
        {
            "weight_ih": (15, 3),
            "weight_hh": (15, 5),
            "norm_ih": (15,),
            "norm_hh": (15,),
            "initial_h": (5,),
        },
    ),
    "lstm-all": (
        LayerSpec(
            "lstm", 3, 5, peephole=True, proj_size=2, layer_norm=True, learn_initial_state=True
        ),
        {
            "weight_ih": (20, 3),
            "weight_hh": (20, 2),
            "bias_ih": (20,),
            "bias_hh": (20,),
            "weight_hr": (2, 5),
            "norm_ih": (20,),
            "norm_hh": (20,),
            "norm_c": (5,),
            "norm_c_bias": (5,),
            "peephole": (15,),
            "initial_h": (2,),
            "initial_c": (5,),
        },
    ),
}


@pytest.mark.parametrize("case", OPTIONS.values(), ids=OPTIONS)
def test_options_add_parameters(case: tuple[LayerSpec, dict[str, tuple[int, ...]]]) -> None:
    spec, shapes = case
    assert list(spec.parameter_shapes.items()) == list(shapes.items())


def test_states_newest_first() -> None:
    assert LayerSpec("elman", 3, 5, order=3).state_sizes == {"h": 5, "h2": 5, "h3": 5}
    assert LayerSpec("gru", 3, 5).state_sizes == {"h": 5}
    assert list(LayerSpec("lstm", 3, 5, proj_size=2).state_sizes.items()) == [("h", 2), ("c", 5)]
    assert LayerSpec("lstm", 3, 5, proj_size=2).output_size == 2
    assert LayerSpec("lstm", 3, 5).output_size == 5


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "cell": ({"cell": "gur"}, "cell must be one of elman, gru, lstm, found 'gur'"),
    "input_size": ({"input_size": 0}, "input_size must be at least 1, found 0"),
    "hidden_size": ({"hidden_size": -1}, "hidden_size must be at least 1, found -1"),
    "order": ({"order": 0}, "order must be at least 1, found 0"),
    "order of gru": ({"cell": "gru", "order": 2}, "order needs the elman cell, found 'gru'"),
    "peephole": ({"peephole": True}, "peephole needs the lstm cell, found 'elman'"),
    "proj_size": ({"proj_size": 2}, "proj_size needs the lstm cell, found 'elman'"),
    "large projection": (
        {"cell": "lstm", "proj_size": 4},
        "proj_size must be from 0 to hidden_size - 1 = 3, found 4",
    ),
    "negative projection": (
        {"cell": "lstm", "proj_size": -1},
        "proj_size must be from 0 to hidden_size - 1 = 3, found -1",
    ),
    "nonlinearity": (
        {"nonlinearity": "gelu"},
        "nonlinearity must be one of tanh, relu, found 'gelu'",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_what_does_not_go_together(case: tuple[dict[str, Any], str]) -> None:
    changes, message = case
    with pytest.raises(UsageError) as raised:
        LayerSpec(**{"cell": "elman", "input_size": 3, "hidden_size": 4, **changes})
    assert str(raised.value) == f"[layer] {message}"


def test_a_specification_does_not_change() -> None:
    spec = LayerSpec("gru", 3, 5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.hidden_size = 6
    assert spec == LayerSpec("gru", 3, 5)
    assert hash(spec) == hash(LayerSpec("gru", 3, 5))
