"""The operators of :mod:`elman.nn.operators` under ``torch.vmap``.

Where samples share the weights and have no lengths, they run as one larger batch, and the gradients
of a plain cell's weights are taken apart again by sample. Everything else, stacked weights among
it, runs one sample after the other. Samples come first in whatever is returned.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from elman.nn.call import SAVED, Call, Named
from elman.nn.operators import results

# Where the batch stands in what a sample may have of its own.
_BATCH = {"x": 1, "first_h": 1, "first_c": 0, "initial_h": 1, "initial_c": 0, "resets": 1}
_BATCH |= {"mask": 0, "h": 1, "c": 1, "last_h": 1, "last_c": 0, "keep_h": 1, "keep_c": 1}
_BATCH |= {"d_h": 1, "d_c": 1, "d_last_h": 1, "d_last_c": 0}
_TAKEN_APART = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}

Dims = Sequence[int | None]
Mapped = tuple[list[Tensor], list[int]]


def layer(
    run: Callable[..., Sequence[Tensor]],
    samples: int,
    dims: Dims,
    call: Call,
    tensors: Sequence[Tensor],
) -> Mapped:
    """The forward operator, ``run(*tensors)``, for every sample; ``dims`` are the tensors'."""
    if not _is_one_batch(call, tensors, dims):
        return _apart(run, samples, tensors, dims)
    given = _fold_all(call, tensors, dims, samples)
    found = zip(results(call, given), run(*given.values()), strict=True)
    parts = [_unfold(name, each, samples, len(given["x"])) for name, each in found]
    return parts, [0] * len(parts)


def layer_backward(
    run: Callable[..., Sequence[Tensor]],
    samples: int,
    dims: Dims,
    call: Call,
    tensors: Sequence[Tensor],
    wanted: str,
) -> Mapped:
    """The same of the backward operator, ``run(wanted, *tensors)``."""
    names, wants = call.names.split(), wanted.split()
    weights = [n for n in wants if n not in _BATCH]
    plain = _TAKEN_APART.issuperset(weights) and "norm_hh" not in names
    forward_was_one = dims[names.index("h")] is not None and _is_one_batch(call, tensors, dims)
    if not (plain and forward_was_one):
        return _apart(partial(run, wanted), samples, tensors, dims)
    named = _fold_all(call, tensors, dims, samples)
    asked = [n for n in wants if n in _BATCH]
    asked += ["a", "u"] if weights and call.cell == "gru" else ["a"] if weights else []
    found = dict(zip(asked, run(" ".join(asked), *named.values()), strict=True))
    parts = {n: _unfold(n, each, samples, len(named["x"])) for n, each in found.items()}
    if weights:
        parts |= _of_weights(parts, named, samples, "reverse" in call.flags)
    return [parts[n] for n in wants], [0] * len(wants)


def _is_one_batch(call: Call, tensors: Sequence[Tensor], dims: Dims) -> bool:
    """Whether all that differs between samples is data that may stand side by side in a batch."""
    names = call.names.split()
    constant = {
        n for n, t in zip(names, tensors, strict=True) if n.startswith("keep") and t.ndim < 3
    }
    differ = {n for n, dim in zip(names, dims, strict=True) if dim is not None}
    return "lengths" not in names and differ <= {*_BATCH, *SAVED} - constant


def _apart(
    run: Callable[..., Sequence[Tensor]], samples: int, tensors: Sequence[Tensor], dims: Dims
) -> Mapped:
    found = [
        run(*(t if d is None else t.select(d, i) for t, d in zip(tensors, dims, strict=True)))
        for i in range(samples)
    ]
    stacked = [torch.stack(each) for each in zip(*found, strict=True)]
    return stacked, [0] * len(stacked)


def _fold_all(call: Call, tensors: Sequence[Tensor], dims: Dims, samples: int) -> Named:
    names = call.names.split()
    steps = len(_fold("x", tensors[names.index("x")], dims[names.index("x")], samples, 0))
    triples = zip(names, tensors, dims, strict=True)
    return {name: _fold(name, t, dim, samples, steps) for name, t, dim in triples}


def _fold(name: str, t: Tensor, dim: int | None, samples: int, steps: int) -> Tensor:
    """The samples of one tensor side by side in its batch."""
    if name in _BATCH and (dim is not None or t.ndim > 1):
        at = _BATCH[name]
        each = (
            t if dim is not None else t.unsqueeze(at).expand(*t.shape[:at], samples, *t.shape[at:])
        )
        return each.movedim(at if dim is None else dim, at).flatten(at, at + 1)
    if dim is None:
        return t
    rows = t.movedim(dim, 0)  # (V, T*B, ...)
    apart = rows.reshape(samples, steps, rows.shape[1] // steps, *rows.shape[2:])
    return apart.transpose(0, 1).flatten(0, 2)


def _unfold(name: str, t: Tensor, samples: int, steps: int) -> Tensor:
    """The inverse of ``_fold``, samples first."""
    if name in _BATCH:
        at = _BATCH[name]
        return t.reshape(*t.shape[:at], samples, -1, *t.shape[at + 1 :]).movedim(at, 0)
    apart = t.reshape(steps, samples, len(t) // steps // samples, *t.shape[1:])
    return apart.transpose(0, 1).flatten(1, 2)


def _of_weights(parts: Named, named: Named, samples: int, reverse: bool) -> Named:
    """The gradients of a plain cell's weights by sample, from those of its gates."""
    steps, a = len(named["x"]), parts["a"]  # (V, T*B, G*H)
    u = parts.get("u", a)
    x = _unfold("x", named["x"], samples, steps).flatten(1, 2)
    if "entering" in named:
        entering = _unfold("entering", named["entering"], samples, steps)
    else:
        first, h = named["first_h"], named["h"]
        before = torch.cat([h[1:], first]) if reverse else torch.cat([first, h[:-1]])
        entering = _unfold("h", before, samples, steps).flatten(1, 2)
    return {
        "weight_ih": a.mT @ x,
        "weight_hh": u.mT @ entering,
        "bias_ih": a.sum(1),
        "bias_hh": u.sum(1),
    }
