"""One layer in one direction, and the only place that chooses who computes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

from elman.errors import UsageError
from elman.nn import fused, native, traced, unrolled
from elman.nn.cells import Parameters, State
from elman.nn.loop import Conditions
from elman.spec import CELLS, LayerSpec

IMPLEMENTATIONS = ("auto", "core", "loop", "fused")
_SHORT = {"elman": 4, "gru": 2, "lstm": 2}  # timesteps
_FEW = 64  # rows
_PACKED = 2 << 20  # bytes of weights that the core packs while a few rows take one timestep
_chosen: ContextVar[str] = ContextVar("implementation", default="auto")


class Result(NamedTuple):
    """What a layer gives: outputs (T, B, R), final state, and every state (T, B, ·) if asked."""

    outputs: Tensor
    final: State
    trajectory: tuple[Tensor, ...] | None


@contextmanager
def implementation(name: str) -> Iterator[None]:
    """Inside this context every layer is computed by ``name``: "core" (the native one),
    "fused" (PyTorch's own kernels) or "loop" (a loop over time in PyTorch).

    For tests and measurements; "auto" takes the fastest that can do what is asked, and is what
    ``torch.compile`` and ``torch.export`` get in any case.
    """
    if name not in IMPLEMENTATIONS:
        raise UsageError("implementation", f"must be one of {IMPLEMENTATIONS}, found {name!r}")
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def layer(
    spec: LayerSpec,
    p: Parameters,
    x: Tensor,
    state: State,
    around: Conditions,
    *,
    reverse: bool = False,
    trajectory: bool = False,
    recompute: bool = False,
) -> Result:
    """Run x (T, B, D) through one layer from ``state``, backwards in time if ``reverse``.

    In reverse each sequence starts at its own last valid timestep, and a reset at t, the border
    between t-1 and t, acts before t-1. With ``recompute`` only ``x``, the states and the parameters
    are kept for the backward pass, which runs the layer forward again. Raises UsageError when the
    implementer of :func:`implementation` cannot do what is asked.
    """
    chosen = _choose(spec, x, around, trajectory)

    def run(x: Tensor, state: State) -> Result:
        if chosen == "core":
            how = {"reverse": reverse, "trajectory": trajectory}
            return Result(*native.run(spec, p, x, state, around, **how))
        if chosen == "fused":
            return Result(*fused.run(spec, p, x, state, reverse=reverse), None)
        outputs, final, states = unrolled.run(spec, p, x, state, around, reverse=reverse)
        return Result(outputs, final, states if trajectory else None)

    # Transforms of torch.func refuse the hooks that recomputing needs; they keep everything.
    if not recompute or not torch.is_grad_enabled() or traced.transformed():
        return run(x, state)
    # What is random was drawn before, so that there is no generator to set back.
    again: Result = checkpoint(run, x, state, use_reentrant=False, preserve_rng_state=False)
    return again


def _choose(spec: LayerSpec, x: Tensor, around: Conditions, trajectory: bool) -> str:
    # A tracer cannot look into a context.
    wanted = "auto" if torch.compiler.is_compiling() else _chosen.get()
    able = {
        "core": native.supports(spec, x) and not _forward_mode(),
        "fused": fused.supports(spec, around) and not trajectory,
        "loop": True,
    }
    if wanted != "auto" and not able[wanted]:
        raise UsageError(wanted, f"cannot compute this layer or this call, found {spec}")
    if wanted != "auto":
        return wanted
    if able["core"] and _is_short(spec, x, around, trajectory):
        return "fused" if able["fused"] and spec.cell != "lstm" else "loop"
    return next(n for n, can in able.items() if can)


def _is_short(spec: LayerSpec, x: Tensor, around: Conditions, trajectory: bool) -> bool:
    """Whether a call of the core costs more than it saves; docs/decisions.md has the figures.

    To a tracer the number of timesteps must stay free, and a call costs nothing there.
    """
    if torch.compiler.is_compiling() or trajectory or traced.transformed():
        return False
    if around.lengths is not None or around.resets is not None:
        return False
    if x.shape[0] <= _SHORT[spec.cell]:
        return True
    # Measured in inference, against kernels as exact as the core: not the loop, nor autocast's.
    if torch.is_grad_enabled() or torch.is_autocast_enabled(x.device.type):
        return False
    if spec.cell == "lstm" or not fused.supports(spec, around) or x.shape[1] >= _FEW:
        return False
    rows = len(CELLS[spec.cell].gates) * spec.hidden_size
    weights = rows * (spec.hidden_size + spec.input_size) * x.itemsize
    return x.shape[0] <= _SHORT[spec.cell] + weights // _PACKED


def _forward_mode() -> bool:
    """Whether tangents are carried along (``torch.func.jvp``): the loop alone knows them."""
    return forward_ad._current_level >= 0
