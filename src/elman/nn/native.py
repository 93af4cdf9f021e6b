"""Layers on the native core: the fastest on the CPU, with all options but projections."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from elman.core import is_built
from elman.nn import loop, operators, unrolled
from elman.nn.cells import Parameters, State
from elman.nn.loop import Conditions
from elman.spec import LayerSpec

_DTYPES = (torch.float32, torch.float64)


class Call(NamedTuple):
    """What is fixed about one call: everything but the tensors."""

    spec: LayerSpec
    flags: str
    names: str
    results: tuple[str, ...]


def supports(spec: LayerSpec, x: Tensor) -> bool:
    """Whether the core is there and computes this layer."""
    return is_built() and not spec.proj_size and x.device.type == "cpu" and x.dtype in _DTYPES


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
    given = {"x": x} | {n: t for n, t in p.items() if not n.startswith("initial_")}
    given |= _states("first", spec, state) | _conditions(spec, around, x, reverse)
    training = torch.is_grad_enabled() and any(t.requires_grad for t in given.values())
    words = {"relu": spec.nonlinearity == "relu", "reverse": reverse, "training": training}
    flags = " ".join(word for word, holds in words.items() if holds)
    names = tuple(operators.results(spec.cell, spec.order, flags, given))
    call = Call(spec, flags, " ".join(given), names)
    outputs: tuple[Tensor, ...] = _Layer.apply(call, *given.values())  # type: ignore[no-untyped-call]
    found = dict(zip(names, outputs, strict=True))
    final = (*found["last_h"].unbind(0), *((found["last_c"],) if "last_c" in found else ()))
    if not trajectory:
        return found["h"], final, None
    every = [found["h"]]
    for old in range(1, spec.order):
        every.append(_older(every[-1], state[old - 1], old - 1, around, reverse))
    return found["h"], final, (*every, *((found["c"],) if "c" in found else ()))


def _states(prefix: str, spec: LayerSpec, state: State) -> dict[str, Tensor]:
    found = {f"{prefix}_h": torch.stack(state[: spec.order])}
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
            full = rate.expand(len(x), *shape)
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
    steps = torch.arange(len(borders), device=borders.device)[:, None]
    return borders & (steps < around.lengths - 1)


def _older(newer: Tensor, first: Tensor, age: int, around: Conditions, reverse: bool) -> Tensor:
    """The state one timestep older than ``newer`` (T, B, H), after each timestep."""
    if reverse and around.lengths is not None:
        steps = torch.arange(len(newer), device=newer.device)[:, None]
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
    """The operators joined; second derivatives fall back to the loop, which has them all."""

    @staticmethod
    def forward(call: Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        spec = call.spec
        return tuple(torch.ops.elman.layer(spec.cell, spec.order, call.flags, call.names, tensors))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        call, *tensors = inputs
        ctx.call = call
        ctx.set_materialize_grads(False)
        states = ("h", "c", "last_h", "last_c")
        ctx.mark_non_differentiable(
            *(t for n, t in zip(call.results, output, strict=True) if n not in states)
        )
        ctx.save_for_backward(*tensors, *output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        call: Call = ctx.call
        names = call.names.split()
        tensors, saved = ctx.saved_tensors[: len(names)], ctx.saved_tensors[len(names) :]
        wanted = [n for n, need in zip(names, ctx.needs_input_grad[1:], strict=True) if need]
        pairs = zip(call.results, gradients, strict=True)
        incoming = {name: d for name, d in pairs if d is not None}
        given = dict(zip(names, tensors, strict=True))
        if torch.is_grad_enabled():
            found = _through_the_loop(call, given, incoming, wanted)
        else:
            found = torch.ops.elman.layer_backward(
                call.spec.cell,
                call.spec.order,
                call.flags,
                call.names,
                tensors,
                saved,
                " ".join(incoming),
                list(incoming.values()),
                " ".join(wanted),
            )
        by_name = dict(zip(wanted, found, strict=True))
        return None, *(by_name.get(name) for name in names)


def _through_the_loop(
    call: Call, given: dict[str, Tensor], incoming: dict[str, Tensor], wanted: list[str]
) -> tuple[Tensor, ...]:
    """Gradients that can be differentiated again."""
    spec, reverse = call.spec, "reverse" in call.flags
    resets = given.get("resets")
    if resets is not None and reverse:  # back from the timestep before the border to the one after
        resets = torch.cat([torch.zeros_like(resets[:1]), resets[:-1]])
    keep = None
    if "keep_h" in given or "keep_c" in given:
        rest = (None,) * (spec.order - 1)
        rates = (given.get("keep_h"), *rest, given.get("keep_c"))
        keep = tuple(_over_time(rate, given["x"]) for rate in rates[: len(spec.state_sizes)])
    around = Conditions(
        given.get("lengths"),
        None if resets is None else resets.bool(),
        _state_of("initial", given),
        given.get("mask"),
        keep,
    )
    state = _state_of("first", given)
    y, final, every = unrolled.run(spec, given, given["x"], state, around, reverse=reverse)
    found = {"h": y, "last_h": torch.stack(final[: spec.order])}
    if spec.cell == "lstm":
        found |= {"c": every[-1], "last_c": final[-1]}
    outputs, inputs = [found[n] for n in incoming], [given[n] for n in wanted]
    return torch.autograd.grad(
        outputs,
        inputs,
        list(incoming.values()),
        create_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )


def _state_of(prefix: str, given: dict[str, Tensor]) -> State:
    past = given[f"{prefix}_h"].unbind(0) if f"{prefix}_h" in given else ()
    return (*past, *((given[f"{prefix}_c"],) if f"{prefix}_c" in given else ()))


def _over_time(rate: Tensor | None, x: Tensor) -> Tensor | None:
    return rate.expand(len(x), 1, -1) if rate is not None and rate.ndim == 1 else rate
