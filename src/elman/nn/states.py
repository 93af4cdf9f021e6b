"""States as callers see them, and as the layers use them.

Inside, the state of one layer in one direction is a tuple of (B, size). Outside it is what
``torch.nn`` hands out: one (layers * directions, B, size) tensor, or a tuple of them for cells
with several states. With one width a layer a list of (directions, B, size), one a layer, takes
the place of each tensor.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from elman.errors import UsageError, check_shape
from elman.spec import LayerSpec

State = tuple[Tensor, ...]
Tensors = tuple[Tensor, ...] | list[Tensor]
HandedOut = Any  # Tensor | list[Tensor] | tuple of either: PyTorch's callers index it untyped


def hand_out(
    inside: Sequence[State],
    hidden_size: int | Sequence[int],
    directions: int,
    batched: bool,
    together: Callable[[Tensors], Tensor] = torch.stack,
) -> HandedOut:
    """Lay out states, one tuple a layer and direction, for the caller.

    ``together`` makes one tensor of the states of several layers.
    """
    outside: list[HandedOut] = []
    for tensors in zip(*inside, strict=True):
        each = tensors if batched else tuple(t.squeeze(-2) for t in tensors)
        if isinstance(hidden_size, int):
            outside.append(together(each))
        else:
            starts = range(0, len(each), directions)
            outside.append([together(each[i : i + directions]) for i in starts])
    return outside[0] if len(outside) == 1 else tuple(outside)


def view_or_stack(tensors: Tensors) -> Tensor:
    """``torch.stack`` that does not copy a single tensor: a trajectory is as large as an output."""
    return torch.stack(tensors) if len(tensors) > 1 else tensors[0].unsqueeze(0)


def take_in(
    operation: str,
    outside: HandedOut,
    specs: Sequence[Sequence[LayerSpec]],
    hidden_size: int | Sequence[int],
    batch: int,
    batched: bool,
) -> list[State]:
    """Check a caller's state and give one tuple a layer and direction. Inverse of ``hand_out``."""
    every = [layer[0].state_sizes for layer in specs]
    names = tuple(every[0])
    several = outside if len(names) > 1 else (outside,)
    if not isinstance(several, (tuple, list)) or len(several) != len(names):
        raise UsageError(
            operation, f"hx must be a tuple of {len(names)} states {names}, found {_form(outside)}"
        )
    rows: Sequence[int | str] = (batch,) if batched else ()
    by_name = []
    for name, value in zip(names, several, strict=True):
        sizes = [each[name] for each in every]
        directions = len(specs[0])
        if isinstance(hidden_size, int):
            _check(operation, name, value, (len(specs) * directions, *rows, sizes[0]))
            flat = list(value.unbind(0))
        else:
            if not isinstance(value, (tuple, list)) or len(value) != len(specs):
                raise UsageError(
                    operation,
                    f"hx {name} must be a list of {len(specs)} tensors, one a layer, "
                    f"found {_form(value)}",
                )
            for tensor, size in zip(value, sizes, strict=True):
                _check(operation, name, tensor, (directions, *rows, size))
            flat = [part for tensor in value for part in tensor.unbind(0)]
        by_name.append(flat if batched else [part.unsqueeze(0) for part in flat])
    return list(zip(*by_name, strict=True))


def _check(operation: str, name: str, value: Any, shape: Sequence[int | str]) -> None:
    if not isinstance(value, Tensor):
        raise UsageError(operation, f"hx {name} must be a tensor, found {_form(value)}")
    check_shape(operation, f"hx {name}", value, shape)


def _form(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"
