"""Swap PyTorch's recurrent layers for elman's inside any model."""

from collections.abc import Callable

from torch import nn

from elman.nn.layers import GRU, LSTM, RNN
from elman.nn.stack import RecurrentStack

# Only these very classes: a subclass may compute something else.
_TWINS: dict[type[nn.Module], Callable[..., RecurrentStack]] = {
    nn.RNN: RNN,
    nn.GRU: GRU,
    nn.LSTM: LSTM,
}


def convert(model: nn.Module) -> nn.Module:
    """Replace every ``torch.nn.RNN``, ``GRU`` and ``LSTM`` in ``model``, and return the model.

    The parameters themselves move over, so an optimiser that holds them goes on working, and so
    do hooks, training mode, device and dtype. A model that is itself such a layer comes back as
    its twin; all others are changed in place. What is not quite such a layer stays: a subclass, or
    one whose weights are computed from others (pruned, normalised).
    """
    twins: dict[nn.Module, RecurrentStack] = {}  # a layer used in two places stays one layer
    if _has_twin(model):
        return _twin(model, twins)
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child is not None and _has_twin(child):
                setattr(parent, name, _twin(child, twins))
    return model


def _has_twin(module: nn.Module) -> bool:
    if type(module) not in _TWINS:
        return False
    assert isinstance(module, nn.RNNBase)
    return set(module._flat_weights_names) == set(module._parameters)


def _twin(module: nn.Module, twins: dict[nn.Module, RecurrentStack]) -> RecurrentStack:
    if module in twins:
        return twins[module]
    assert isinstance(module, nn.RNNBase)
    options: dict[str, int | float | str] = {
        "num_layers": module.num_layers,
        "bias": module.bias,
        "batch_first": module.batch_first,
        "dropout": module.dropout,
        "bidirectional": module.bidirectional,
    }
    if isinstance(module, nn.LSTM):
        options["proj_size"] = module.proj_size
    if isinstance(module, nn.RNN):
        options["nonlinearity"] = module.nonlinearity
    twin = _TWINS[type(module)](module.input_size, module.hidden_size, device="meta", **options)
    for name, parameter in module.named_parameters(remove_duplicate=False):
        twin.register_parameter(name, parameter)
    for name, value in vars(module).items():
        if "hook" in name:  # the very dicts, so that a hook's handle can still remove it
            setattr(twin, name, value)
    twins[module] = twin.train(module.training)
    return twin
