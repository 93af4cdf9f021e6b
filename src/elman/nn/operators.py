"""One layer through time on the native core: what the two PyTorch operators compute.

:mod:`elman.nn.traced` makes operators of :func:`forward` and :func:`backward`. The core gets arrays
by pointer and is linked to no version of PyTorch. What runs in order is the core's, and so are
``W_ih x``, which it computes piece by piece, and the sums over all timesteps that are the gradients
of the weights. Only the input part is PyTorch's matrix product where it is very wide, and for the
one row of a normalised layer.

Tensors come by name. In are ``x`` (T, B, D), the parameters of ``LayerSpec.parameter_shapes``
without the initial states, and, k being the order, ``first_h`` (k, B, H), ``first_c`` (B, H), with
resets ``initial_h``, ``initial_c`` and ``resets`` (T, B) uint8, and ``lengths`` (B,) int64,
``mask`` (B, k*H), ``keep_h`` and ``keep_c`` (T, B, H) or (H,). Out are those of :func:`results`.
Flags of a call: "relu", "reverse", "saving" where a backward pass may follow, and "bfloat16" where
matrix products may round to it. What an operator returns follows from its arguments alone, since
graphs are kept.
"""

import os
from collections.abc import Sequence
from functools import cache, partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from elman.core import native, threads
from elman.nn.call import STATES, Call, Named, parts
from elman.spec import CELLS

Shapes = dict[str, tuple[int, ...]]

_NAMES = {t: str(t).removeprefix("torch.") for t in (torch.float32, torch.float64, torch.bfloat16)}
_STATES = ("first_h", "first_c", "initial_h", "initial_c")
_ALONE = 1 << 20  # multiplications that are over sooner than another thread is awake
_WIDEST = 2048  # inputs: the core reads all weights of a few units at once, from its cache
_SUMMED = ("bias_ih", "bias_hh", "norm_ih", "norm_hh", "peephole", "norm_c", "norm_c_bias")


def results(call: Call, given: Named) -> Shapes:
    """Names and shapes of what the forward operator returns: the states, then what it saves.

    ``h``, ``c`` (T, B, H) after every timestep, 0 in the padding; ``last_h`` (k, B, H), ``last_c``
    (B, H). Saved are ``gates`` (T*B, G*H), all activated, where h is not the only one; by option
    what :mod:`csrc` calls ``entering``, ``inner``, ``normal_a``, ``normal_u``, ``normal_c`` and
    their scales. With lengths only the first rows are used.

    Memory kept for the backward pass, in numbers a timestep, sequence and unit, ``h`` (which the
    caller has anyway) and ``c`` among them: Elman 1, GRU 5, LSTM 6; k more with ``mask``, with
    ``resets`` or with an order k above 1; 1 more for Elman with zoneout. With layer normalisation,
    which the gates are found again from, Elman 3, GRU 7, LSTM 11. G more with very many inputs,
    where there are no gates of the cell's own.
    One float32 LSTM step of H units is (4 + 1 + 1) * H * 4 bytes.
    """
    cell, order, flags, _ = call
    (steps, batch), units = given["x"].shape[:2], given["weight_hh"].shape[1] // order
    rows, width, past = steps * batch, given["weight_hh"].shape[0], order * units
    lstm, norm = cell == "lstm", "norm_hh" in given
    shapes: Shapes = {"h": (steps, batch, units), "last_h": (order, batch, units)}
    if lstm:
        shapes |= {"c": (steps, batch, units), "last_c": (batch, units)}
    in_core, saving = _in_core(given), "saving" in flags
    if not in_core or (saving and not norm and (cell != "elman" or "keep_h" in given)):
        shapes["gates"] = (rows, width)
    if order > 1 or "mask" in given or (saving and "resets" in given):
        shapes["entering"] = (rows, past)
    if cell == "gru" and saving and not norm:
        shapes["inner"] = (rows, units)
    if norm and saving:
        shapes |= {"normal_a": (rows, width), "scale_a": (rows,)}
        shapes |= {"normal_u": (rows, width), "scale_u": (rows,)}
    if norm and lstm and saving:
        shapes |= {"normal_c": (rows, units), "scale_c": (rows,)}
    return shapes


def forward(call: Call, given: Named) -> Named:
    """Run a layer; see the module."""
    given = {name: t.contiguous() for name, t in given.items()}
    x = given["x"]
    out = {name: _empty(shape, x.dtype) for name, shape in results(call, given).items()}
    rows = _valid_rows(given)
    here = _only(out, rows)
    if not _in_core(given):
        _product(_rows_of(x, rows), given["weight_ih"].t(), call.flags, out=here["gates"])
    run = _core().forward64 if x.dtype == torch.float64 else _core().forward32
    run(_options(call, given), _lent(given), _lent(here))
    return out


def backward(call: Call, tensors: Sequence[Tensor], wanted: str) -> list[Tensor]:
    """The gradients of the inputs ``wanted``, from the tensors of :mod:`elman.nn.call`."""
    given, kept, incoming = parts(call.named([t.contiguous() for t in tensors]))
    x, flags, wants = given["x"], call.flags, wanted.split()
    rows = _valid_rows(given)
    kept = _only(kept, rows)
    d = {n: _empty(given[n].shape, x.dtype) for n in given if n in _SUMMED + _STATES}
    large = {"x", "weight_ih", "weight_hh"}.intersection(wants)
    left = set() if _in_core(given) else large - {"weight_hh"}
    d |= {n: _empty(given[n].shape, x.dtype) for n in large - left}
    if left or "a" in wants:  # else the core keeps no more of them than it needs at once
        used = len(x) * x.shape[1] if rows is None else len(rows)
        d["a"] = _empty((used, given["weight_hh"].shape[0]), x.dtype)
        apart = call.cell == "gru" or "norm_hh" in given
        d["u"] = _empty(d["a"].shape, x.dtype) if apart else d["a"]
    run = _core().backward64 if x.dtype == torch.float64 else _core().backward32
    arrays = (_lent(each) for each in (given, kept, incoming, d))
    run(_options(call, given), *arrays)
    if left and "bfloat16" in flags:  # once for both products
        d["a"] = _narrow(d["a"])
    if "weight_ih" in left:  # up to 1.8 times as fast as the other way round
        product = _product(_rows_of(x, rows).t(), d["a"], flags)
        d["weight_ih"] = product.t().contiguous()
    if "x" in left:
        d["x"] = _of_input(d["a"], given, rows, flags)
    return [d[name] for name in wants]


def _of_input(d_a: Tensor, given: Named, rows: Tensor | None, flags: str) -> Tensor:
    x = given["x"]
    d_x = _empty(x.shape, x.dtype)
    flat = d_x.view(-1, x.shape[2])
    if rows is None:
        _product(d_a, given["weight_ih"], flags, out=flat)
    else:
        flat.zero_().index_copy_(0, rows, _product(d_a, given["weight_ih"], flags))
    return d_x


def _product(a: Tensor, b: Tensor, flags: str, out: Tensor | None = None) -> Tensor:
    """``a @ b``, with the flag "bfloat16" of numbers rounded to it, in and out."""
    if "bfloat16" not in flags:
        return torch.mm(a, b, out=out)
    narrow = _empty((a.shape[0], b.shape[1]), torch.bfloat16)
    torch.mm(_narrow(a), _narrow(b), out=narrow)
    return narrow.float() if out is None else out.copy_(narrow)


def _narrow(t: Tensor) -> Tensor:
    """A bfloat16 copy, laid out as ``t`` is."""
    if t.dtype == torch.bfloat16:
        return t
    if not t.is_contiguous():
        return _narrow(t.t()).t()
    return converted(t, torch.bfloat16)


def converted(t: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy of another type."""
    return _empty(t.shape, dtype).copy_(t)


@cache
def _core() -> ModuleType:
    core = native()
    assert core is not None  # whoever chooses these operators has asked
    # A fork leaves PyTorch's threads behind, and its products would wait for them for ever.
    os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))
    return core


def _empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Uninitialised memory that the core keeps for the next pass, rather than the system."""
    made: Tensor = torch.utils.dlpack.from_dlpack(_core().empty(shape, _NAMES[dtype]))
    return made


def draw(rate: float, seed: int, shape: Sequence[int], dtype: torch.dtype, threads: int) -> Tensor:
    """Ones with probability ``rate``, from above 0 to 1, else zeros."""
    drawn = _empty(shape, dtype)
    _core().draw(torch._C._to_dlpack(drawn), rate, seed, threads)
    return drawn


def _only(found: Named, rows: Tensor | None) -> Named:
    """Of what is saved row by row the first rows, as many as are valid."""
    if rows is None:
        return found
    return {n: t if n in STATES else t[: len(rows)] for n, t in found.items()}


def _lent(arrays: Named) -> dict[str, Any]:
    """The arrays as the core takes them, ten times sooner than it could ask each tensor."""
    return {name: torch._C._to_dlpack(t) for name, t in arrays.items()}


def _valid_rows(given: Named) -> Tensor | None:
    """Indices (N,) of the valid timesteps in x (T*B, D), in the core's order; None for all."""
    lengths = given.get("lengths")
    if lengths is None:
        return None
    rows = torch.empty(int(lengths.sum()), dtype=torch.int64)
    _core().valid_rows(given["x"].shape[0], *_lent({"lengths": lengths, "rows": rows}).values())
    return rows


def _rows_of(x: Tensor, rows: Tensor | None) -> Tensor:
    flat = x.flatten(0, 1)
    return flat if rows is None else flat.index_select(0, rows)


def _in_core(given: Named) -> bool:
    """Whether the core multiplies ``W_ih x`` itself, piece by piece where it needs it."""
    # One row of a normalised layer is one thread's; PyTorch's product is everybody's.
    shared = "norm_ih" not in given or given["x"].shape[1] > 1
    return shared and given["x"].shape[2] <= _WIDEST


def _options(call: Call, given: Named) -> dict[str, str | int | bool]:
    cell, order, flags, _ = call
    x = given["x"]
    steps, batch = x.shape[:2]
    keep = given.get("keep_h", given.get("keep_c"))
    width, past = given["weight_hh"].shape
    work = steps * batch * width * (past + x.shape[2])
    return {
        "cell": cell,
        "order": order,
        "relu": "relu" in flags,
        "reverse": "reverse" in flags,
        "steps": steps,
        "batch": batch,
        "inputs": x.shape[2] if _in_core(given) else 0,
        "units": width // len(CELLS[cell].gates),
        "saving": "saving" in flags,
        "bfloat16": "bfloat16" in flags,
        "keep_is_constant": keep is not None and keep.ndim == 1,
        "threads": threads(torch.get_num_threads() if work > _ALONE else 1),
    }
