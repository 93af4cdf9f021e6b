"""``Recurrent(cell)``: a sequence layer around any cell of the user's own."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from elman.errors import UsageError
from elman.nn import door, loop


class Recurrent(nn.Module):
    """Run ``cell(x, state) -> (y, state)`` over sequences, as ``elman.nn`` layers are run.

    cell: a module, or any callable. x is (B, ...), a state is a tensor (B, ...) or a tuple,
        nested as deep as the cell likes, of them. ``cell.initial_state(batch)`` gives the state of
        sequences that come without ``hx`` and the one that ``resets`` return to.
    """

    def __init__(
        self, cell: Callable[[Tensor, Any], tuple[Tensor, Any]], batch_first: bool = False
    ) -> None:
        super().__init__()
        self.cell = cell
        self.batch_first = batch_first

    def initial_state(self, batch: int) -> Any:
        """Return the cell's own initial state; UsageError if the cell has none."""
        make = getattr(self.cell, "initial_state", None)
        if make is None:
            raise UsageError(
                "Recurrent",
                "a start without hx, or a reset, needs cell.initial_state(batch), found none on "
                f"{type(self.cell).__name__}; add the method or pass hx",
            )
        return make(batch)

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Any, Any]:
        """Run input (T, B, ...) and return the outputs and the final state, nested as the cell's.

        Arguments mean what they mean in :class:`~elman.nn.stack.RecurrentStack`.
        """
        entered = door.enter("Recurrent", input, None, lengths, resets, self.batch_first)
        x, batch = loop.clear_padding(entered.x, entered.lengths), entered.x.shape[1]
        start = self.initial_state(batch) if hx is None else hx
        initial = () if entered.resets is None else tuple(_leaves(self.initial_state(batch)))

        def step(x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
            y, after = self.cell(x, _nest(start, iter(state)))
            leaves = tuple(_leaves(after))
            if len(leaves) != len(state):
                raise UsageError(
                    "Recurrent",
                    "the cell must return a state formed as the one it was given, "
                    f"found {len(leaves)} tensors instead of {len(state)}",
                )
            return y, leaves

        around = loop.Conditions(entered.lengths, entered.resets, initial)
        outputs, _, final = loop.run(step, x, tuple(_leaves(start)), around)
        return entered.leave(outputs), _nest(start, iter(final))

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """One timestep: x (B, ...) and a state -> (y, state)."""
        y, after = self.cell(x, self.initial_state(len(x)) if state is None else state)
        return y, after


def _leaves(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, (tuple, list)):
        for each in state:
            yield from _leaves(each)
    else:
        raise UsageError(
            "Recurrent",
            f"a state must be a tensor or a tuple of them, found {type(state).__name__}",
        )


def _nest(like: Any, leaves: Iterator[Tensor]) -> Any:
    if isinstance(like, Tensor):
        return next(leaves)
    return tuple(_nest(each, leaves) for each in like)
