"""One call of an operator on the core, and what autograd keeps of it.

There are two operators: the layer forward, and its derivative. Both take their tensors as a list
whose names are one string. The first gets what the layer is given and returns what
:func:`elman.nn.operators.results` names; the second gets all of that, and the gradients that have
come, ``d_`` before the names. Both are called by plain autograd, by whatever traces
(:mod:`elman.nn.traced`) and by the transforms of ``torch.func`` (:mod:`elman.nn.transformed`).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

Named = dict[str, Tensor]

CONSTANT = ("mask", "keep_h", "keep_c")  # drawn, never learned: there is no derivative
STATES = ("h", "c", "last_h", "last_c")
# For the derivative, a row a timestep.
SAVED = (
    "gates", "entering", "inner",
    "normal_a", "scale_a", "normal_u", "scale_u", "normal_c", "scale_c",
)  # fmt: skip
_RETURNED = frozenset((*STATES, *SAVED))
_INCOMING = {f"d_{name}": name for name in STATES}


class Call(NamedTuple):
    """What an operator is told besides its tensors; ``flags``: see :mod:`elman.nn.operators`."""

    cell: str
    order: int
    flags: str
    names: str

    def named(self, tensors: Sequence[Tensor]) -> Named:
        """The tensors by name."""
        return dict(zip(self.names.split(), tensors, strict=True))


Derivative = Callable[[Call, Sequence[Tensor], str], Sequence[Tensor]]


def parts(named: Named) -> tuple[Named, Named, Named]:
    """Of the second operator's tensors those given, those returned, and the gradients of these."""
    given: Named = {}
    returned: Named = {}
    incoming: Named = {}
    for name, tensor in named.items():
        if name in _RETURNED:
            returned[name] = tensor
        elif name in _INCOMING:
            incoming[_INCOMING[name]] = tensor
        else:
            given[name] = tensor
    return given, returned, incoming


def keep(
    ctx: Any,
    call: Call,
    tensors: Sequence[Tensor],
    results: Iterable[str],
    output: Sequence[Tensor],
) -> None:
    """Leave in ``ctx`` what :func:`gradients` needs of a forward call."""
    ctx.call, ctx.results = call, tuple(results)
    found = zip(ctx.results, output, strict=True)
    ctx.mark_non_differentiable(*(t for n, t in found if n not in STATES))
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, *output)


def gradients(
    ctx: Any, incoming: Sequence[Tensor | None], needs: Sequence[bool], derivative: Derivative
) -> list[Tensor | None]:
    """The gradient of each tensor of the call that ``ctx`` keeps, None for those without need.

    ``derivative`` is the second operator; its string says which gradients it is to return.
    """
    call: Call = ctx.call
    names = call.names.split()
    asked = [n for n, need in zip(names, needs, strict=True) if need and n not in CONSTANT]
    come = {f"d_{n}": d for n, d in zip(ctx.results, incoming, strict=True) if d is not None}
    call = Call(*call[:3], " ".join((*names, *ctx.results, *come)))
    # Once: a second look at what was saved would recompute again.
    found = derivative(call, (*ctx.saved_tensors, *come.values()), " ".join(asked))
    by_name = dict(zip(asked, found, strict=True))
    return [by_name.get(name) for name in names]
