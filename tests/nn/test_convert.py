"""Models whose recurrent layers are swapped compute what they did, with the same parameters."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from elman.nn import GRU, LSTM, RNN, convert

LAYERS: dict[str, Any] = {
    "rnn": lambda: nn.RNN(3, 4, 2, nonlinearity="relu", bidirectional=True),
    "gru": lambda: nn.GRU(3, 4, bias=False, batch_first=True),
    "lstm": lambda: nn.LSTM(3, 4, 2, dropout=0.5, bidirectional=True, proj_size=2),
}
TWINS = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


class Tower(nn.Module):
    """Recurrent layers at three depths, one of them used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.GRU(3, 3)
        self.again = self.shared
        self.levels = nn.ModuleList([nn.LSTM(3, 3), nn.Sequential(nn.RNN(3, 3))])
        self.nothing = None
        self.out = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        x, _ = self.again(self.shared(x)[0])
        for level in self.levels:
            x, _ = level(x)
        result: Tensor = self.out(x)
        return result


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_itself(name: str) -> None:
    layer = LAYERS[name]().double().eval()
    before = dict(layer.named_parameters())
    twin = convert(layer)
    assert type(twin) is TWINS[name]
    assert not twin.training
    after = dict(twin.named_parameters())
    assert list(after) == list(before)
    assert all(after[n] is before[n] for n in before)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(twin(x), layer(x), rtol=0, atol=1e-13)
    for option in ("num_layers", "bias", "batch_first", "dropout", "bidirectional"):
        assert getattr(twin, option) == getattr(layer, option)


def test_layers_inside_a_model() -> None:
    model = Tower().double()
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    expected, names = model(x), list(model.state_dict())
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    assert convert(model) is model
    assert [type(m) for m in (model.shared, model.levels[0], model.levels[1][0])] == [
        GRU,
        LSTM,
        RNN,
    ]
    assert model.again is model.shared
    assert list(model.state_dict()) == names
    torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-13)
    assert not [m for m in model.modules() if isinstance(m, nn.RNNBase)]
    model(x).sum().backward()
    optimiser.step()  # it still holds the parameters that the model uses
    assert not torch.allclose(model(x), expected)


def test_twice_is_once() -> None:
    model = convert(Tower())
    layers = list(model.modules())
    assert list(convert(model).modules()) == layers
    assert convert(model.shared) is model.shared


def test_subclasses_and_computed_weights_stay() -> None:
    class Mine(nn.LSTM):
        """Might compute something else."""

    pruned = nn.GRU(3, 4)
    prune.l1_unstructured(pruned, "weight_hh_l0", 0.5)
    normalised = nn.utils.parametrizations.weight_norm(nn.LSTM(3, 4), "weight_hh_l0")
    kept = [Mine(3, 4), pruned, normalised]
    assert list(convert(nn.Sequential(*kept))) == kept
    assert [convert(layer) for layer in kept] == kept


def test_tied_and_frozen_parameters_stay_so() -> None:
    layer = nn.GRU(3, 3, 2)
    layer.weight_hh_l1 = layer.weight_hh_l0
    layer.bias_ih_l0.requires_grad_(False)
    x = torch.randn(4, 2, 3)
    expected = layer(x)
    twin = convert(layer)
    assert twin.weight_hh_l1 is twin.weight_hh_l0
    assert not twin.bias_ih_l0.requires_grad
    torch.testing.assert_close(twin(x), expected)


def test_hooks_go_on_working() -> None:
    model = nn.Sequential(nn.GRU(3, 4))
    called: list[str] = []
    layer = model[0]
    layer.register_forward_pre_hook(lambda module, args: called.append("before"))
    layer.register_forward_hook(
        lambda module, args, kwargs, output: called.append(f"after {sorted(kwargs)}"),
        with_kwargs=True,
    )
    layer.register_full_backward_hook(
        lambda module, grad_input, grad_output: called.append(f"back {len(grad_output)}")
    )
    removed = layer.register_forward_hook(lambda *given: called.append("removed"))
    convert(model)
    removed.remove()
    x = torch.randn(5, 2, 3, requires_grad=True)
    model[0](x, hx=torch.zeros(1, 2, 4))[0].sum().backward()
    assert called == ["before", "after ['hx']", "back 2"]
