"""Values and gradients against the equations of ``spec``, written once more and differently.

Here every sequence of the batch runs alone, boundaries are plain ``if``, and the gradients are
PyTorch's.
"""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.nn.functional import layer_norm

from elman.reference import backward, forward
from elman.spec import LAYER_NORM_EPS, LayerSpec

Tensors = dict[str, torch.Tensor]


def affine(spec: LayerSpec, p: Tensors, part: str, v: torch.Tensor) -> torch.Tensor:
    value = p[f"weight_{part}"] @ v
    if spec.layer_norm:
        value = layer_norm(value, value.shape, eps=LAYER_NORM_EPS) * p[f"norm_{part}"]
    return value + p[f"bias_{part}"] if spec.bias else value


def one_step(spec: LayerSpec, p: Tensors, x: torch.Tensor, old: Tensors, mask: Any) -> Tensors:
    """The next state of one sequence, before zoneout."""
    past = ["h", *(f"h{j}" for j in range(2, spec.order + 1))]
    a = affine(spec, p, "ih", x).reshape(len(spec.gates), -1)
    u = affine(spec, p, "hh", torch.cat([old[n] for n in past]) * mask).reshape(a.shape)
    if spec.cell == "elman":
        h = (a + u)[0].relu() if spec.nonlinearity == "relu" else (a + u)[0].tanh()
        return {"h": h} | {older: old[newer] for newer, older in pairwise(past)}
    if spec.cell == "gru":
        r, z = torch.sigmoid(a[0] + u[0]), torch.sigmoid(a[1] + u[1])
        return {"h": torch.lerp(torch.tanh(a[2] + r * u[2]), old["h"], z)}
    zeros = torch.zeros(3, spec.hidden_size, dtype=torch.float64)
    peep = p["peephole"].reshape(3, -1) if spec.peephole else zeros
    i = torch.sigmoid(a[0] + u[0] + peep[0] * old["c"])
    f = torch.sigmoid(a[1] + u[1] + peep[1] * old["c"])
    c = f * old["c"] + i * torch.tanh(a[2] + u[2])
    o = torch.sigmoid(a[3] + u[3] + peep[2] * c)
    seen = c
    if spec.layer_norm:
        shift = p["norm_c_bias"] if spec.bias else None
        seen = layer_norm(c, c.shape, p["norm_c"], shift, LAYER_NORM_EPS)
    h = o * torch.tanh(seen)
    return {"h": p["weight_hr"] @ h if spec.proj_size else h, "c": c}


def crosses_boundary(resets: Any, t: int, b: int, length: int, reverse: bool) -> bool:
    """Whether a sequence boundary lies between ``t`` and the timestep that was run before it."""
    if not reverse:
        return bool(resets[t, b])
    return t + 1 < length and bool(resets[t + 1, b])


def run_alone(
    spec: LayerSpec, p: Tensors, x: torch.Tensor, b: int, start: Tensors, options: dict[str, Any]
) -> list[tuple[int, Tensors]]:
    """``(t, state)`` of sequence ``b``, in the order of its timesteps."""
    steps, batch, _ = x.shape
    length = int(options.get("lengths", [steps] * batch)[b])
    resets = options.get("resets", np.zeros((steps, batch), dtype=bool))
    mask = options["mask"][b] if "mask" in options else 1.0
    keep = dict(zip(("h", "c"), options.get("keep", ()), strict=False))
    reverse = "reverse" in options
    state, seen = start, []
    for t in sorted(range(length), reverse=reverse):
        if crosses_boundary(resets, t, b, length, reverse):
            state = options["initial"]
        new = one_step(spec, p, x[t, b], state, mask)
        for name, share in keep.items():
            new[name] = share[t, b] * state[name] + (1 - share[t, b]) * new[name]
        state = new
        seen.append((t, state))
    return seen


def as_leaf(array: Any) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def as_torch(problem: SimpleNamespace) -> tuple[Tensors, dict[str, Any]]:
    """The parameters as leaves, and the options with ``initial`` filled in, by state name."""
    p = {name: as_leaf(value) for name, value in problem.cell.parameters.items()}
    given = problem.options
    options = {n: v if n in ("lengths", "resets") else None for n, v in given.items()}
    if "mask" in given:
        options["mask"] = torch.tensor(given["mask"])
    if "keep" in given:
        options["keep"] = [torch.tensor(share) for share in given["keep"]]
    sizes = problem.spec.state_sizes
    if "initial" in given:
        states = [as_leaf(s) for s in given["initial"]]
        options["initial"] = dict(zip(sizes, states, strict=True))
    elif problem.spec.learn_initial_state:
        options["initial"] = {name: p[f"initial_{name}"] for name in sizes}
    else:
        options["initial"] = {name: as_leaf(np.zeros(size)) for name, size in sizes.items()}
    return p, options


def run_batch(
    problem: SimpleNamespace, p: Tensors, x: torch.Tensor, start: list[Tensors], options: Any
) -> tuple[dict[str, Any], dict[str, Any], torch.Tensor]:
    """Every state at every ``t``, the final states, and the loss."""
    sizes = problem.spec.state_sizes
    states = {name: np.zeros((*x.shape[:2], size)) for name, size in sizes.items()}
    finals = {name: np.zeros((x.shape[1], size)) for name, size in sizes.items()}
    loss = torch.zeros((), dtype=torch.float64)
    for b in range(x.shape[1]):
        seen = run_alone(problem.spec, p, x, b, start[b], options)
        last = seen[-1][1]
        for t, state in seen:
            loss = loss + state["h"] @ torch.tensor(problem.d_outputs[t, b])
            for index, name in enumerate(sizes):
                states[name][t, b] = state[name].detach().numpy()
                loss = loss + state[name] @ torch.tensor(problem.d_states[index][t, b])
        for index, name in enumerate(sizes):
            finals[name][b] = last[name].detach().numpy()
            loss = loss + last[name] @ torch.tensor(problem.d_final[index][b])
    return states, finals, loss


def test_values_and_gradients_are_those_of_the_equations(problem: SimpleNamespace) -> None:
    sizes, batch = problem.spec.state_sizes, problem.x.shape[1]
    p, options = as_torch(problem)
    x, initial = as_leaf(problem.x), options["initial"]
    state0 = [as_leaf(s) for s in problem.state0 or ()]
    start = [dict(zip(sizes, (s[b] for s in state0), strict=False)) for b in range(batch)]
    states, finals, loss = run_batch(problem, p, x, [s or initial for s in start], options)

    trace = forward(problem.cell, problem.x, problem.state0, **problem.options)
    np.testing.assert_allclose(trace.outputs, states["h"], rtol=0, atol=1e-12)
    for index, name in enumerate(sizes):
        np.testing.assert_allclose(trace.states[index], states[name], rtol=0, atol=1e-12)
        np.testing.assert_allclose(trace.final[index], finals[name], rtol=0, atol=1e-12)

    found = backward(trace, problem.d_outputs, problem.d_states, problem.d_final)
    pairs = [("x", x, found.x)]
    pairs += zip(sizes, state0, found.state0[: len(state0)], strict=False)
    pairs += zip(sizes, initial.values(), found.initial, strict=True)
    pairs += [(name, p[name], found.parameters[name]) for name in p]
    leaves = [leaf for _, leaf, _ in pairs]
    by_torch = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    for (name, _, ours), theirs in zip(pairs, by_torch, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-10, err_msg=name)
