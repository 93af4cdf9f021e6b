"""The operators under ``torch.func``: ``grad``, ``vjp``, ``jacrev``, ``vmap``, in any nesting.

``torch.library`` has no derivative that these transforms accept, but ``autograd.Function`` has.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from elman.nn import mapped, traced
from elman.nn.operators import STATES, results


class Forward(NamedTuple):
    """The arguments of the forward operator before its tensors."""

    cell: str
    order: int
    flags: str
    names: str


class Backward(NamedTuple):
    """Those of the backward operator that are no tensors."""

    forward: Forward
    saved: int
    gradient_names: str
    wanted: str

    def arguments(self, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
        """All arguments, from the tensors (or what belongs to each) in one row."""
        first = len(self.forward.names.split())
        second = first + self.saved
        parts = tensors[:first], tensors[first:second], tensors[second:]
        return *self.forward, *parts[:2], self.gradient_names, parts[2], self.wanted


class _Layer(torch.autograd.Function):
    """The forward operator: (call, *tensors) -> its results."""

    @staticmethod
    def forward(call: Forward, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.ops.elman.layer(*call, tensors))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.call, *tensors = inputs
        given = dict(zip(ctx.call.names.split(), tensors, strict=True))
        ctx.results = tuple(results(ctx.call.cell, ctx.call.order, ctx.call.flags, given))
        named = zip(ctx.results, output, strict=True)
        ctx.mark_non_differentiable(*(t for n, t in named if n not in STATES))
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, *output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        names = ctx.call.names.split()
        wanted = traced.wanted(names, ctx.needs_input_grad[1:])
        incoming = {n: d for n, d in zip(ctx.results, gradients, strict=True) if d is not None}
        call = Backward(ctx.call, len(ctx.results), " ".join(incoming), " ".join(wanted))
        found = _LayerBackward.apply(call, *ctx.saved_tensors, *incoming.values())  # type: ignore[no-untyped-call]
        by_name = dict(zip(wanted, found, strict=True))
        return None, *(by_name.get(name) for name in names)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], call: Forward, *tensors: Tensor) -> Any:
        def run(*arguments: Any) -> Any:
            return _Layer.apply(Forward(*arguments[:4]), *arguments[4])  # type: ignore[no-untyped-call]

        found, dims = mapped.layer(run, info.batch_size, in_dims[1:], *call, tensors)
        return tuple(found), tuple(dims)


class _LayerBackward(torch.autograd.Function):
    """The backward operator: (call, *tensors, *saved, *gradients) -> the gradients wanted."""

    @staticmethod
    def forward(call: Backward, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.ops.elman.layer_backward(*call.arguments(tensors)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.call, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        arguments = ctx.call.arguments(ctx.saved_tensors)
        needs = ctx.call.arguments(ctx.needs_input_grad[1:])
        found = traced.second(arguments, outer, needs[4], needs[7])
        return None, *found[0], *[None] * ctx.call.saved, *found[1]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], call: Backward, *tensors: Tensor) -> Any:
        def run(*arguments: Any) -> Any:
            inner = Backward(Forward(*arguments[:4]), len(arguments[5]), arguments[6], arguments[8])
            every = (*arguments[4], *arguments[5], *arguments[7])
            return _LayerBackward.apply(inner, *every)  # type: ignore[no-untyped-call]

        of = call.arguments(in_dims[1:])
        dims = (*of[4], *of[5], *of[7])
        given = call.arguments(tensors)
        found, out = mapped.layer_backward(run, info.batch_size, dims, *given)
        return tuple(found), tuple(out)


def layer(call: Forward, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """What ``elman::layer`` returns."""
    found: tuple[Tensor, ...] = _Layer.apply(call, *tensors)  # type: ignore[no-untyped-call]
    return found
