"""The operators as ``torch.compile``, ``torch.export`` and ``torch.func`` see them.

``elman::layer`` and ``elman::layer_backward`` are ``torch.library`` operators with fake kernels, a
derivative and a rule for ``vmap``; whatever traces or transforms sees one node each.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elman.nn import higher, mapped, operators
from elman.nn.call import Call, gradients, keep
from elman.nn.operators import results


@torch.library.custom_op("elman::layer", mutates_args=())
def layer(cell: str, order: int, flags: str, names: str, tensors: Sequence[Tensor]) -> list[Tensor]:
    """A :class:`~elman.nn.call.Call` of the layer, written out as PyTorch wants it."""
    call = Call(cell, order, flags, names)
    return list(operators.forward(call, call.named(tensors)).values())


@torch.library.custom_op("elman::layer_backward", mutates_args=())
def layer_backward(
    cell: str, order: int, flags: str, names: str, tensors: Sequence[Tensor], wanted: str
) -> list[Tensor]:
    """The same of its derivative."""
    return operators.backward(Call(cell, order, flags, names), tensors, wanted)


def backward(call: Call, tensors: Sequence[Tensor], wanted: str) -> list[Tensor]:
    """What ``elman::layer_backward`` returns."""
    found: list[Tensor] = torch.ops.elman.layer_backward(*call, tensors, wanted)
    return found


@layer.register_fake
def _(*arguments: Any) -> list[Tensor]:
    *parts, tensors = arguments
    call = Call(*parts)
    given = call.named(tensors)
    return [given["x"].new_empty(shape) for shape in results(call, given).values()]


@layer_backward.register_fake
def _(*arguments: Any) -> list[Tensor]:
    *parts, tensors, wanted = arguments
    named = Call(*parts).named(tensors)
    rows = named["x"].shape[0] * named["x"].shape[1], named["weight_hh"].shape[0]
    shapes = {name: t.shape for name, t in named.items()} | {"a": rows, "u": rows}
    return [named["x"].new_empty(shapes[name]) for name in wanted.split()]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    *parts, tensors = inputs
    call = Call(*parts)
    keep(ctx, call, tensors, results(call, call.named(tensors)), output)


def _first(ctx: Any, incoming: Sequence[Tensor | None]) -> tuple[Any, ...]:
    return None, None, None, None, gradients(ctx, incoming, ctx.needs_input_grad[4], backward)


def _keep_first(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    *parts, tensors, ctx.wanted = inputs
    ctx.call = Call(*parts)
    ctx.save_for_backward(*tensors)


def _second(ctx: Any, outer: Sequence[Tensor]) -> tuple[Any, ...]:
    found = higher.derivatives(ctx, outer, ctx.needs_input_grad[4])
    return None, None, None, None, found, None


def _map(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> mapped.Mapped:
    *parts, tensors = arguments

    def run(*tensors: Tensor) -> list[Tensor]:
        found: list[Tensor] = torch.ops.elman.layer(*parts, tensors)
        return found

    return mapped.layer(run, info.batch_size, in_dims[4], Call(*parts), tensors)


def _map_backward(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> mapped.Mapped:
    *parts, tensors, wanted = arguments

    def run(wanted: str, *tensors: Tensor) -> list[Tensor]:
        return backward(Call(*parts), tensors, wanted)

    return mapped.layer_backward(run, info.batch_size, in_dims[4], Call(*parts), tensors, wanted)


layer.register_autograd(_first, setup_context=_keep)
layer_backward.register_autograd(_second, setup_context=_keep_first)
layer.register_vmap(_map)
layer_backward.register_vmap(_map_backward)


def needed(tensors: Sequence[Tensor]) -> bool:
    """Whether anything but plain autograd looks on: a tracer, a transform, a tensor of a mode.

    The operators are for these; plain autograd is four times as quick without their dispatch.
    """
    return (
        torch.compiler.is_compiling()
        or transformed()
        or torch._C._get_tracing_state() is not None
        or torch._C._len_torch_dispatch_stack() > 0
        or any(type(t) not in (Tensor, torch.nn.Parameter) for t in tensors)
    )


def transformed() -> bool:
    """Whether a transform of ``torch.func`` is at work."""
    active: bool = torch._C._are_functorch_transforms_active()
    return active
