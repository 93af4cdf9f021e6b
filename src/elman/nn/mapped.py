"""The operators of :mod:`elman.nn.operators` under ``torch.vmap``.

Where samples share the weights and have no lengths, they run as one larger batch, and the gradients
of a plain cell's weights are taken apart again by sample. Everything else, stacked weights among
it, runs one sample after the other. Samples come first in whatever is returned.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from elman.nn.operators import Named, results

# Where the batch stands in what a sample may have of its own.
_BATCH = {"x": 1, "first_h": 1, "first_c": 0, "initial_h": 1, "initial_c": 0, "resets": 1}
_BATCH |= {"mask": 0, "h": 1, "c": 1, "last_h": 1, "last_c": 0, "keep_h": 1, "keep_c": 1}
_TAKEN_APART = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}

Dims = Sequence[int | None]
Mapped = tuple[list[Tensor], list[int]]


def layer(
    operator: Callable[..., Any],
    samples: int,
    dims: Dims,
    cell: str,
    order: int,
    flags: str,
    names: str,
    tensors: Sequence[Tensor],
) -> Mapped:
    """Run the forward ``operator`` for every sample; ``dims`` are those of the tensors."""

    def run(*tensors: Tensor) -> list[Tensor]:
        return list(operator(cell, order, flags, names, tensors))

    if not _is_one_batch(names.split(), tensors, dims):
        return _apart(run, samples, tensors, dims)
    given = _fold_all(names.split(), tensors, dims, samples)
    found = zip(results(cell, order, flags, given), run(*given.values()), strict=True)
    parts = [_unfold(name, each, samples, len(given["x"])) for name, each in found]
    return parts, [0] * len(parts)


def layer_backward(
    operator: Callable[..., Any],
    samples: int,
    dims: Dims,
    cell: str,
    order: int,
    flags: str,
    names: str,
    tensors: Sequence[Tensor],
    saved: Sequence[Tensor],
    gradient_names: str,
    gradients: Sequence[Tensor],
    wanted: str,
) -> Mapped:
    """Run the backward ``operator`` for every sample; ``dims`` are those of all its tensors."""
    ends = len(tensors), len(tensors) + len(saved)
    of_given, of_saved, of_gradients = dims[: ends[0]], dims[ends[0] : ends[1]], dims[ends[1] :]

    def run(*each: Tensor, wanted: str = wanted) -> list[Tensor]:
        lists = each[: ends[0]], each[ends[0] : ends[1]], each[ends[1] :]
        parts = (names, lists[0], lists[1], gradient_names, lists[2], wanted)
        return list(operator(cell, order, flags, *parts))

    weights = [n for n in wanted.split() if n not in _BATCH]
    plain = _TAKEN_APART.issuperset(weights) and "norm_hh" not in names.split()
    forward_was_one = of_saved[0] is not None and _is_one_batch(names.split(), tensors, of_given)
    if not (plain and forward_was_one):
        every = (*tensors, *saved, *gradients)
        return _apart(run, samples, every, dims)
    given = _fold_all(names.split(), tensors, of_given, samples)
    kept = _fold_all(results(cell, order, flags, given), saved, of_saved, samples, len(given["x"]))
    incoming = _fold_all(gradient_names.split(), gradients, of_gradients, samples)
    asked = [n for n in wanted.split() if n in _BATCH]
    asked += ["a", "u"] if weights and cell == "gru" else ["a"] if weights else []
    tensors = (*given.values(), *kept.values(), *incoming.values())
    found = dict(zip(asked, run(*tensors, wanted=" ".join(asked)), strict=True))
    parts = {n: _unfold(n, each, samples, len(given["x"])) for n, each in found.items()}
    if weights:
        parts |= _of_weights(parts, given, kept, samples, "reverse" in flags)
    return [parts[n] for n in wanted.split()], [0] * len(wanted.split())


def _is_one_batch(names: list[str], tensors: Sequence[Tensor], dims: Dims) -> bool:
    """Whether all that differs between samples is data that may stand side by side in a batch."""
    constant = {
        n for n, t in zip(names, tensors, strict=True) if n.startswith("keep") and t.ndim < 3
    }
    differ = {n for n, dim in zip(names, dims, strict=True) if dim is not None}
    return "lengths" not in names and differ <= _BATCH.keys() - constant


def _apart(
    run: Callable[..., list[Tensor]], samples: int, tensors: Sequence[Tensor], dims: Dims
) -> Mapped:
    found = [
        run(*(t if d is None else t.select(d, i) for t, d in zip(tensors, dims, strict=True)))
        for i in range(samples)
    ]
    stacked = [torch.stack(each) for each in zip(*found, strict=True)]
    return stacked, [0] * len(stacked)


def _fold_all(
    names: Iterable[str], tensors: Sequence[Tensor], dims: Dims, samples: int, steps: int = 0
) -> Named:
    pairs = zip(names, tensors, dims, strict=True)
    return {name: _fold(name, t, dim, samples, steps) for name, t, dim in pairs}


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


def _of_weights(parts: Named, given: Named, kept: Named, samples: int, reverse: bool) -> Named:
    """The gradients of a plain cell's weights by sample, from those of its gates."""
    steps, a = len(given["x"]), parts["a"]  # (V, T*B, G*H)
    u = parts.get("u", a)
    x = _unfold("x", given["x"], samples, steps).flatten(1, 2)
    if "entering" in kept:
        entering = _unfold("entering", kept["entering"], samples, steps)
    else:
        first, h = given["first_h"], kept["h"]
        before = torch.cat([h[1:], first]) if reverse else torch.cat([first, h[:-1]])
        entering = _unfold("h", before, samples, steps).flatten(1, 2)
    return {
        "weight_ih": a.mT @ x,
        "weight_hh": u.mT @ entering,
        "bias_ih": a.sum(1),
        "bias_hh": u.sum(1),
    }
