"""Second and higher derivatives of a layer on the core, by way of the loop, which has them all."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from elman.nn import unrolled
from elman.nn.call import CONSTANT, Call, Named, parts
from elman.nn.cells import State
from elman.nn.loop import Conditions
from elman.spec import CELLS, LayerSpec


def derivatives(ctx: Any, outer: Sequence[Tensor], needs: Sequence[bool]) -> list[Tensor | None]:
    """What ``outer``, the gradients of what the backward operator returned, give its tensors.

    ``ctx`` keeps them, its call and what was ``wanted``; tensors without need get None.
    """
    call: Call = ctx.call
    named, wanted = call.named(ctx.saved_tensors), ctx.wanted.split()
    given, _, incoming = parts(named)
    inner = [n for n, t in given.items() if t.is_floating_point() and n not in CONSTANT]

    def first(*tensors: Tensor) -> tuple[Tensor, ...]:
        values = dict(zip(inner, tensors, strict=False))
        run = _layer(call, given | values, wanted, list(incoming))
        pull = torch.func.vjp(run, *(values[n] for n in wanted))[1]
        found: tuple[Tensor, ...] = pull(tensors[len(inner) :])
        return found

    pull = torch.func.vjp(first, *(given[n] for n in inner), *incoming.values())[1]
    by_name = dict(zip((*inner, *(f"d_{n}" for n in incoming)), pull(tuple(outer)), strict=True))
    return [by_name.get(n) if need else None for n, need in zip(named, needs, strict=True)]


def _layer(
    call: Call, given: Named, inputs: list[str], outputs: list[str]
) -> Callable[..., tuple[Tensor, ...]]:
    """The layer as a function of the tensors ``inputs`` alone."""
    reverse = "reverse" in call.flags

    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        now = given | dict(zip(inputs, tensors, strict=True))
        spec = _spec(call, now)
        state, around = _state_of("first", now), _around(spec, now, reverse)
        y, final, every = unrolled.run(spec, now, now["x"], state, around, reverse=reverse)
        found = {"h": y, "last_h": torch.stack(final[: call.order])}
        if call.cell == "lstm":
            found |= {"c": every[-1], "last_c": final[-1]}
        return tuple(found[name] for name in outputs)

    return run


def _spec(call: Call, given: Named) -> LayerSpec:
    return LayerSpec(
        call.cell,
        given["x"].shape[2],
        given["weight_hh"].shape[0] // len(CELLS[call.cell].gates),
        bias="bias_ih" in given,
        nonlinearity="relu" if "relu" in call.flags else "tanh",
        order=call.order,
        peephole="peephole" in given,
        layer_norm="norm_hh" in given,
    )


def _around(spec: LayerSpec, given: Named, reverse: bool) -> Conditions:
    resets = given.get("resets")
    if resets is not None and reverse:  # back from the timestep before the border to the one after
        resets = torch.cat([torch.zeros_like(resets[:1]), resets[:-1]])
    keep = None
    if "keep_h" in given or "keep_c" in given:
        rates = dict.fromkeys(spec.state_sizes) | {n: given.get(f"keep_{n}") for n in ("h", "c")}
        keep = tuple(_over_time(rates[name], given["x"]) for name in spec.state_sizes)
    return Conditions(
        given.get("lengths"),
        None if resets is None else resets.bool(),
        _state_of("initial", given),
        given.get("mask"),
        keep,
    )


def _state_of(prefix: str, given: Named) -> State:
    past = given[f"{prefix}_h"].unbind(0) if f"{prefix}_h" in given else ()
    return (*past, *((given[f"{prefix}_c"],) if f"{prefix}_c" in given else ()))


def _over_time(rate: Tensor | None, x: Tensor) -> Tensor | None:
    return rate.expand(len(x), 1, -1) if rate is not None and rate.ndim == 1 else rate
