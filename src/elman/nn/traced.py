"""The operators as ``torch.compile``, ``torch.export`` and ``torch.func`` see them.

``elman::layer`` and ``elman::layer_backward`` are ``torch.library`` operators with fake kernels, a
derivative and a rule for ``vmap``; whatever traces or transforms sees one node each.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elman.nn import higher, mapped, operators
from elman.nn.operators import CONSTANT, STATES, results

layer = torch.library.custom_op("elman::layer", operators.layer, mutates_args=())
layer_backward = torch.library.custom_op(
    "elman::layer_backward", operators.layer_backward, mutates_args=()
)


@layer.register_fake
def _(cell: str, order: int, flags: str, names: str, tensors: Sequence[Tensor]) -> list[Tensor]:
    given = dict(zip(names.split(), tensors, strict=True))
    shapes = results(cell, order, flags, given).values()
    return [given["x"].new_empty(shape) for shape in shapes]


@layer_backward.register_fake
def _(
    cell: str,
    order: int,
    flags: str,
    names: str,
    tensors: Sequence[Tensor],
    saved: Sequence[Tensor],
    gradient_names: str,
    gradients: Sequence[Tensor],
    wanted: str,
) -> list[Tensor]:
    given = dict(zip(names.split(), tensors, strict=True))
    rows = given["x"].shape[0] * given["x"].shape[1], given["weight_hh"].shape[0]
    shapes = {name: t.shape for name, t in given.items()} | {"a": rows, "u": rows}
    return [given["x"].new_empty(shapes[name]) for name in wanted.split()]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    cell, order, flags, names, tensors = inputs
    ctx.call = cell, order, flags, names
    given = dict(zip(names.split(), tensors, strict=True))
    found = zip(results(cell, order, flags, given), output, strict=True)
    ctx.mark_non_differentiable(*(t for name, t in found if name not in STATES))
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, *output)


def _first(ctx: Any, gradients: Sequence[Tensor | None]) -> tuple[Any, ...]:
    cell, order, flags, names = ctx.call
    split = names.split()
    every = ctx.saved_tensors  # once: a second look would recompute again
    tensors, saved = every[: len(split)], every[len(split) :]
    given = dict(zip(split, tensors, strict=True))
    known = zip(results(cell, order, flags, given), gradients, strict=True)
    incoming = {name: d for name, d in known if d is not None}
    asked = wanted(split, ctx.needs_input_grad[4])
    found = torch.ops.elman.layer_backward(
        cell,
        order,
        flags,
        names,
        tensors,
        saved,
        " ".join(incoming),
        list(incoming.values()),
        " ".join(asked),
    )
    by_name = dict(zip(asked, found, strict=True))
    return None, None, None, None, [by_name.get(name) for name in split]


def _keep_first(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    *call, tensors, saved, gradient_names, gradients, asked = inputs
    ctx.parts = call, len(tensors), len(saved), gradient_names, asked
    ctx.save_for_backward(*tensors, *gradients)


def _second(ctx: Any, outer: Sequence[Tensor]) -> tuple[Any, ...]:
    call, first, saved, gradient_names, asked = ctx.parts
    every = ctx.saved_tensors
    tensors, gradients = every[:first], every[first:]
    arguments = (*call, tensors, None, gradient_names, gradients, asked)
    found = second(arguments, outer, ctx.needs_input_grad[4], ctx.needs_input_grad[7])
    return None, None, None, None, found[0], [None] * saved, None, found[1], None


def wanted(names: Sequence[str], needs: Sequence[bool]) -> list[str]:
    """Which of the inputs ``names`` the backward operator is to give the gradients of."""
    pairs = zip(names, needs, strict=True)
    return [name for name, need in pairs if need and name not in CONSTANT]


def second(
    arguments: Sequence[Any], outer: Sequence[Tensor], *wants: Sequence[bool]
) -> tuple[list[Tensor | None], list[Tensor | None]]:
    """Gradients of the ``tensors`` and ``gradients`` among the backward operator's arguments."""
    cell, order, flags, names, tensors, _, gradient_names, gradients, asked = arguments
    given = dict(zip(names.split(), tensors, strict=True))
    incoming = dict(zip(gradient_names.split(), gradients, strict=True))
    return higher.derivatives(cell, order, flags, given, incoming, asked, outer, wants)


def _map(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> Any:
    run = torch.ops.elman.layer
    return mapped.layer(run, info.batch_size, in_dims[4], *arguments)


def _map_backward(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> Any:
    run, dims = torch.ops.elman.layer_backward, (*in_dims[4], *in_dims[5], *in_dims[7])
    return mapped.layer_backward(run, info.batch_size, dims, *arguments)


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
