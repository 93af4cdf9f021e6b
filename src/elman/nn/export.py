"""``export``: a network of your own as a model folder, to run without PyTorch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from elman import modelfile
from elman.errors import ModelError, UsageError
from elman.modelfile.stack import TASK, Dense, Embedding, Recurrent, StackSpec
from elman.nn.convert import convert
from elman.nn.stack import RecurrentStack
from elman.spec import suffix

Layer = tuple[Dense | Recurrent, dict[str, torch.Tensor]]


def export(module: nn.Module, folder: str | Path, *, weights: str = "float32") -> None:
    """Write ``module`` as a model folder for :func:`elman.runtime.load`.

    ``module``: a recurrent layer of elman or of PyTorch, or a module whose children are, in the
    order in which they were registered, at most one ``Embedding`` at the start, such layers and
    ``Linear``; an ``Embedding`` whose weight is also a ``Linear``'s is tied. Dropout has no part
    in a network that runs, and neither has ``Identity``. What the module's own ``forward`` does
    between its children is not looked at: it must call them one after the other and nothing else.
    ``weights``: ``"float32"``, ``"bfloat16"`` or ``"int8"``; float64 modules stay float64 at
    ``"float32"``. An existing model folder is replaced.

    Raises :class:`~elman.errors.UsageError` for a module that is anything else, or that looks
    into the future (``bidirectional``).
    """
    embedding: nn.Embedding | None = None
    layers: list[Layer] = []
    for name, child in _children(module):
        if isinstance(child, nn.Embedding) and embedding is None and not layers:
            embedding = _checked_embedding(name, child)
        else:
            layers += _layers(name, child, embedding)
    spec = StackSpec(
        None if embedding is None else Embedding(*embedding.weight.shape),
        tuple(layer for layer, _ in layers),
    )
    try:
        spec = StackSpec.from_json(spec.to_json())
    except ModelError as error:
        rule = error.message.removeprefix("config.json: ").partition("; take")[0]
        raise UsageError("export", rule) from None
    tensors = {} if embedding is None else {"embedding.weight": _array(embedding.weight)}
    for number, (_, parameters) in enumerate(layers):
        tensors |= {f"layers.{number}.{n}": _array(value) for n, value in parameters.items()}
    parts: dict[str, Any] = {"tensors": tensors, "tokenizer": None, "weights": weights}
    modelfile.write(folder, task=TASK, spec=spec.to_json(), readme=_readme(spec, weights), **parts)


def _children(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The layers, containers opened."""
    known = (RecurrentStack, nn.RNNBase, nn.Linear, nn.Embedding)
    if isinstance(module, known) or not list(module.children()):
        yield type(module).__name__, module
        return
    own = [name for name, _ in module.named_parameters(recurse=False)]
    if own:
        rule = f"a module must hold layers and no parameters of its own, found {own[0]}"
        raise UsageError("export", rule)
    for name, child in module.named_children():
        if isinstance(child, nn.Sequential):
            yield from _children(child)
        else:
            yield name, child


def _checked_embedding(name: str, module: nn.Embedding) -> nn.Embedding:
    if module.max_norm is not None:
        raise UsageError("export", f"{name} must have max_norm=None, found {module.max_norm}")
    return module


def _layers(name: str, module: nn.Module, embedding: nn.Embedding | None) -> list[Layer]:
    """What a child is; nothing for what acts in training only."""
    if isinstance(module, nn.Dropout | nn.Identity):
        return []
    if type(module) is nn.Linear:
        return [_dense(module, embedding)]
    if isinstance(module, nn.RNNBase):
        module = convert(module)
    if isinstance(module, RecurrentStack):
        return _recurrent(name, module)
    rule = "layers must be Embedding (the first), Linear, Dropout or recurrent, each once in a row"
    raise UsageError("export", f"{rule}, found {name}: {type(module).__name__}")


def _dense(module: nn.Linear, embedding: nn.Embedding | None) -> Layer:
    tie = embedding is not None and module.weight is embedding.weight
    layer = Dense(module.in_features, module.out_features, module.bias is not None, tie)
    parameters: dict[str, torch.Tensor] = dict(module.named_parameters())
    if tie:
        del parameters["weight"]
    return layer, parameters


def _recurrent(name: str, module: RecurrentStack) -> list[Layer]:
    if module.bidirectional:
        rule = f"{name} must read forwards only, found bidirectional=True"
        raise UsageError("export", f"{rule}: one timestep cannot know those to come")
    layers: list[Layer] = []
    for number, (spec,) in enumerate(module.specs):
        names = spec.parameter_shapes
        parameters = {n: getattr(module, n + suffix(number)) for n in names}
        layers.append((Recurrent(spec, module.zoneout), parameters))
    return layers


def _array(parameter: torch.Tensor) -> Any:
    tensor = parameter.detach().cpu()
    if tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()
    return np.ascontiguousarray(tensor.numpy())


def _readme(spec: StackSpec, weights: str) -> str:
    """What the folder is, for people who find it."""
    lines = [] if spec.embedding is None else [f"- embedding of {spec.embedding.tokens:,} ids"]
    for layer in spec.layers:
        kind = layer.layer.cell if isinstance(layer, Recurrent) else "dense"
        lines.append(f"- {kind}: {layer.inputs} to {layer.outputs}")
    shown = "\n".join(lines)
    return f"""# A recurrent network exported with elman

Its layers, {weights} weights:

{shown}

It runs without PyTorch, one timestep at a time:

    import elman.runtime
    stream = elman.runtime.load("FOLDER").stream()
    y = stream.timestep(x)
"""
