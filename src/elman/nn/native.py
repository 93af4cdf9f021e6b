"""Layers on the native core: the fastest on the CPU, with all options but projections."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elman.core import is_built
from elman.nn import loop, operators, traced, transformed
from elman.nn.call import STATES, Call, gradients, keep
from elman.nn.cells import Parameters, State
from elman.nn.loop import Conditions
from elman.spec import LayerSpec

_BUILT = is_built()
_DTYPES = (torch.float32, torch.float64)


def supports(spec: LayerSpec, x: Tensor) -> bool:
    """Whether the core is there and computes this layer."""
    known = x.dtype in _DTYPES or (x.dtype == torch.bfloat16 and _autocast())
    return _BUILT and not spec.proj_size and x.device.type == "cpu" and known


def _autocast() -> bool:
    """Whether ``torch.autocast`` asks for bfloat16 products."""
    wanted = torch.is_autocast_enabled("cpu")
    return wanted and torch.get_autocast_dtype("cpu") == torch.bfloat16


def run(
    spec: LayerSpec,
    p: Parameters,
    x: Tensor,
    state: State,
    around: Conditions,
    *,
    reverse: bool,
    trajectory: bool,
) -> tuple[Tensor, State, tuple[Tensor, ...] | None]:
    """One layer in one direction; arguments and results are those of ``functional.layer``."""
    narrow = _autocast() and x.dtype != torch.float64  # which autocast leaves alone
    given = {"x": x} | {n: t for n, t in p.items() if not n.startswith("initial_")}
    given |= _states("first", spec, state) | _conditions(spec, around, x, reverse)
    if narrow:
        given = {n: t.float() if t.dtype == torch.bfloat16 else t for n, t in given.items()}
    tensors = list(given.values())
    seen = traced.needed(tensors)
    # A transform may differentiate what asks for no gradient outside of it.
    saving = torch.is_grad_enabled() and (
        any(t.requires_grad for t in tensors) or (seen and traced.transformed())
    )
    words = ("relu", "reverse", "saving", "bfloat16")
    hold = (spec.nonlinearity == "relu", reverse, saving, narrow)
    flags = " ".join(word for word, holds in zip(words, hold, strict=True) if holds)
    call = Call(spec.cell, spec.order, flags, " ".join(given))
    if saving or seen:
        outputs = _outputs(call, tensors, seen)
        found = dict(zip(operators.results(call, given), outputs, strict=True))
    else:
        found = operators.forward(call, given)
    if narrow:
        unused = () if trajectory else ("c",)
        narrowed = torch.Tensor.bfloat16 if seen else _Rounded.apply
        found |= {n: narrowed(t) for n, t in found.items() if n in STATES and n not in unused}
    final = (*found["last_h"].unbind(0), *((found["last_c"],) if "last_c" in found else ()))
    if not trajectory:
        return found["h"], final, None
    every = [found["h"]]
    for old in range(1, spec.order):
        every.append(_older(every[-1], state[old - 1], old - 1, around, reverse))
    return found["h"], final, (*every, *((found["c"],) if "c" in found else ()))


class _Rounded(torch.autograd.Function):
    """A bfloat16 copy, and the gradient's copy back, in memory that is kept for the next pass."""

    @staticmethod
    def forward(ctx: Any, t: Tensor) -> Tensor:
        return operators.converted(t, torch.bfloat16)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return operators.converted(gradient, torch.float32)


def _outputs(call: Call, tensors: list[Tensor], seen: bool) -> Sequence[Tensor]:
    """What the forward operator returns, by the shortest way that whoever looks on allows."""
    if seen and traced.transformed():
        return transformed.layer(call, tensors)
    if seen:
        found: list[Tensor] = torch.ops.elman.layer(*call, tensors)
        return found
    kept: tuple[Tensor, ...] = _Layer.apply(call, *tensors)  # type: ignore[no-untyped-call]
    return kept


def _states(prefix: str, spec: LayerSpec, state: State) -> dict[str, Tensor]:
    past = state[: spec.order]
    found = {f"{prefix}_h": past[0].unsqueeze(0) if spec.order == 1 else torch.stack(past)}
    if spec.cell == "lstm":
        found[f"{prefix}_c"] = state[-1]
    return found


def _conditions(spec: LayerSpec, around: Conditions, x: Tensor, reverse: bool) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    shape = (x.shape[1], spec.hidden_size)
    if around.lengths is not None:
        found["lengths"] = around.lengths.to(torch.int64)
    if around.resets is not None:
        initial = tuple(each.expand(shape) for each in around.initial)
        found |= _states("initial", spec, initial)
        found["resets"] = _borders(around, reverse).to(torch.uint8)
    if around.mask is not None:
        found["mask"] = around.mask
    if around.keep is not None:
        kept = {"keep_h": around.keep[0]}
        if spec.cell == "lstm":
            kept["keep_c"] = around.keep[-1]
        rates = {name: rate for name, rate in kept.items() if rate is not None}
        constant = all(k.shape[1:] == (1, 1) and k.stride(0) == 0 for k in rates.values())
        for name, rate in rates.items():
            full = rate.expand(x.shape[0], *shape)
            found[name] = full[0, 0].contiguous() if constant else full.contiguous()
    return found


def _borders(around: Conditions, reverse: bool) -> Tensor:
    """Resets (T, B) by the timestep that starts anew, in the order of processing."""
    assert around.resets is not None
    if not reverse:
        return around.resets
    # The border before t stands, in reverse, before the processing of t - 1; at the end of a
    # sequence it separates nothing.
    borders = torch.cat([around.resets[1:], torch.zeros_like(around.resets[:1])])
    if around.lengths is None:
        return borders
    steps = torch.arange(borders.shape[0], device=borders.device)[:, None]
    return borders & (steps < around.lengths - 1)


def _older(newer: Tensor, first: Tensor, age: int, around: Conditions, reverse: bool) -> Tensor:
    """The state one timestep older than ``newer`` (T, B, H), after each timestep."""
    if reverse and around.lengths is not None:
        steps = torch.arange(newer.shape[0], device=newer.device)[:, None]
        ends = steps == around.lengths - 1  # where the sequence starts, in reverse
        before = torch.cat([newer[1:], first[None]])
        before = torch.where(ends[:, :, None], first, before)
    elif reverse:
        before = torch.cat([newer[1:], first[None]])
    else:
        before = torch.cat([first[None], newer[:-1]])
    if around.resets is not None:
        borders = _borders(around, reverse)[:, :, None]
        before = torch.where(borders, around.initial[age], before)
    return loop.clear_padding(before, around.lengths)


class _Layer(torch.autograd.Function):
    """The operators for plain autograd, called without a detour through the dispatcher."""

    @staticmethod
    def forward(ctx: Any, call: Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        found = operators.forward(call, call.named(tensors))
        output = tuple(found.values())
        keep(ctx, call, tensors, found, output)
        return output

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor | None) -> tuple[Tensor | None, ...]:
        return None, *gradients(ctx, incoming, ctx.needs_input_grad[1:], _derivative)


def _derivative(call: Call, tensors: Sequence[Tensor], wanted: str) -> list[Tensor]:
    # The operator can be differentiated again, the function behind it cannot.
    if torch.is_grad_enabled() or traced.needed(tensors):
        return traced.backward(call, tensors, wanted)
    return operators.backward(call, tensors, wanted)
