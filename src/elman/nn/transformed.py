"""The operators under ``torch.func``: ``grad``, ``vjp``, ``jacrev``, ``vmap``, in any nesting.

``torch.library`` has no derivative that these transforms accept, but ``autograd.Function`` has.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from elman.nn import higher, mapped, traced
from elman.nn.call import Call, gradients, keep
from elman.nn.operators import results


class _Layer(torch.autograd.Function):
    """The forward operator: (call, *tensors) -> its results."""

    @staticmethod
    def forward(call: Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.ops.elman.layer(*call, tensors))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        call, *tensors = inputs
        keep(ctx, call, tensors, results(call, call.named(tensors)), output)

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor | None) -> tuple[Tensor | None, ...]:
        return None, *gradients(ctx, incoming, ctx.needs_input_grad[1:], _backward)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], call: Call, *tensors: Tensor) -> Any:
        run = partial(_Layer.apply, call)
        found, dims = mapped.layer(run, info.batch_size, in_dims[1:], call, tensors)
        return tuple(found), tuple(dims)


class _LayerBackward(torch.autograd.Function):
    """The backward operator: (call, wanted, *tensors) -> the gradients wanted."""

    @staticmethod
    def forward(call: Call, wanted: str, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(traced.backward(call, tensors, wanted))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.call, ctx.wanted, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *higher.derivatives(ctx, outer, ctx.needs_input_grad[2:])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], call: Call, wanted: str, *tensors: Tensor) -> Any:
        run = partial(_LayerBackward.apply, call)
        how = info.batch_size, in_dims[2:], call, tensors, wanted
        found, dims = mapped.layer_backward(run, *how)
        return tuple(found), tuple(dims)


def _backward(call: Call, tensors: Sequence[Tensor], wanted: str) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = _LayerBackward.apply(call, wanted, *tensors)  # type: ignore[no-untyped-call]
    return found


def layer(call: Call, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """What ``elman::layer`` returns."""
    found: tuple[Tensor, ...] = _Layer.apply(call, *tensors)  # type: ignore[no-untyped-call]
    return found
