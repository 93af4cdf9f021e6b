"""``torch.nn``, and how any module with its interface is made a contestant."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.measure import FLOAT32, Arrays, Contestant
from benchmarks.problem import Problem, named

LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "elman": nn.RNN}
Context = Callable[[], AbstractContextManager[Any]]
Call = Callable[..., tuple[Tensor, Any]]


def load(problem: Problem, module: nn.Module) -> nn.Module:
    """The module with the weights of the problem."""
    held = {name: torch.from_numpy(value) for name, value in problem.torch_weights().items()}
    module.load_state_dict(held)
    return module


def layer(problem: Problem) -> nn.Module:
    return load(problem, LAYERS[problem.cell](problem.shape.inputs, problem.shape.hidden))


def hand_in(problem: Problem, requires_grad: bool = False) -> tuple[Tensor, list[Tensor], Any]:
    """x, the states, and the states as a module with torch.nn's interface takes them."""
    x = torch.from_numpy(problem.x).requires_grad_(requires_grad)
    states = [torch.from_numpy(s)[None].requires_grad_(requires_grad) for s in problem.state]
    return x, states, tuple(states) if len(states) > 1 else states[0]


def arrays(tensors: Any) -> tuple[Any, ...]:
    """States of one layer (1, B, H), alone or in a tuple, as NumPy arrays (B, H)."""
    several = tensors if isinstance(tensors, tuple | list) else (tensors,)
    return tuple(t.detach().float().squeeze(0).numpy() for t in several)


def inference(name: str, problem: Problem, module: nn.Module) -> Contestant:
    """The whole sequence without gradients, from the outputs to the final state."""
    x, _, state = hand_in(problem)

    def run() -> tuple[Tensor, Any]:
        with torch.no_grad():
            return module(x, state)

    def result() -> Arrays:
        y, final = run()
        return {"outputs": y.numpy(), **named("final", problem.spec, arrays(final))}

    return Contestant(name, run, result, lambda: problem.forward_solution)


def training(
    name: str,
    problem: Problem,
    module: nn.Module,
    *,
    call: Call | None = None,
    context: Context = nullcontext,
    expected: Callable[[], Arrays] | None = None,
    tolerance: float = FLOAT32,
) -> Contestant:
    """Forward, and the gradients of x, of the state and of every parameter.

    ``call`` is what runs in place of the module itself, inside ``context``.
    """
    x, states, state = hand_in(problem, requires_grad=True)
    parameters = dict(module.named_parameters())
    leaves = [x, *states, *parameters.values()]
    wanted = [torch.from_numpy(d) for d in (problem.d_outputs, *(d[None] for d in problem.d_final))]
    call = call or module

    def run() -> tuple[Tensor, Any, tuple[Tensor, ...]]:
        with context():
            y, final = call(x, state)
        read = (y, *(final if isinstance(final, tuple) else (final,)))
        given = [d.to(r.dtype) for d, r in zip(wanted, read, strict=True)]
        return y, final, torch.autograd.grad(read, leaves, given)

    def result() -> Arrays:
        y, final, (d_x, *others) = run()
        found = {"outputs": y.detach().float().numpy(), "d x": d_x.numpy()}
        found |= named("final", problem.spec, arrays(final))
        found |= named("d", problem.spec, arrays(others[: len(states)]))
        names = (name.removesuffix("_l0") for name in parameters)
        d_parameters = (d.numpy() for d in others[len(states) :])
        return found | {f"d {n}": d for n, d in zip(names, d_parameters, strict=True)}

    solution = expected or (lambda: problem.training_solution)
    return Contestant(name, run, result, solution, tolerance)


def packed(problem: Problem, module: nn.Module) -> Call:
    """A call of torch.nn's module on a ragged batch: pack, run, pad."""
    lengths = torch.from_numpy(problem.lengths)

    def call(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, final = module(pack_padded_sequence(x, lengths, enforce_sorted=False), state)
        return pad_packed_sequence(y, total_length=len(x))[0], final

    return call
