"""The door of a sequence layer: whatever a caller may pass becomes time-major, and back again.

Inside, input is (T, B, D), states are tuples of (B, ·), masks are (T, B). Outside, PyTorch's
conventions hold: ``batch_first``, sequences without a batch dimension, ``PackedSequence``.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from elman.errors import UsageError, check_shape


@dataclass(frozen=True, slots=True)
class Entered:
    """A time-major input and how it came in."""

    x: Tensor  # (T, B, D)
    lengths: Tensor | None  # (B,)
    resets: Tensor | None  # (T, B)
    packed: PackedSequence | None
    batched: bool
    batch_first: bool

    def leave(self, y: Tensor) -> Any:
        """Give outputs (T, B, ·) the form that the input had."""
        if self.packed is not None:
            if self.packed.sorted_indices is not None:
                y = y.index_select(1, self.packed.sorted_indices)
            lengths = self.packed.batch_sizes.new_tensor(
                [int((self.packed.batch_sizes > b).sum()) for b in range(y.shape[1])]
            )
            data = pack_padded_sequence(y, lengths).data
            indices = (self.packed.sorted_indices, self.packed.unsorted_indices)
            return PackedSequence(data, self.packed.batch_sizes, *indices)
        if not self.batched:
            return y.squeeze(1)
        return y.transpose(0, 1) if self.batch_first else y


def enter(
    operation: str,
    x: Tensor | PackedSequence,
    features: int | None,
    lengths: Any,
    resets: Any,
    batch_first: bool,
) -> Entered:
    """Check an input and make it time-major. ``features=None`` accepts any trailing shape.

    Raises UsageError naming the argument that does not fit.
    """
    if isinstance(x, PackedSequence):
        if lengths is not None:
            raise UsageError(operation, "lengths come with a PackedSequence; found both, give one")
        packed = x
        x, lengths = pad_packed_sequence(packed)
        return Entered(*_checked(operation, x, features, lengths, resets), packed, True, False)
    if not isinstance(x, Tensor):
        raise UsageError(operation, f"input must be a tensor, found a {type(x).__name__}")
    if resets is not None:
        resets = _tensor(operation, "resets", resets)
    if x.ndim not in (2, 3) and features is not None:
        raise UsageError(
            operation,
            f"input must have 3 dimensions, or 2 without a batch, found shape {tuple(x.shape)}",
        )
    if x.ndim < 2:
        raise UsageError(
            operation, f"input must have shape (T, B, ...), found shape {tuple(x.shape)}"
        )
    batched = features is None or x.ndim == 3
    if not batched:
        x, resets = x.unsqueeze(1), None if resets is None else resets[:, None]
    elif batch_first:
        x = x.transpose(0, 1)
        resets = None if resets is None else resets.transpose(0, 1)
    checked = _checked(operation, x, features, lengths, resets)
    return Entered(*checked, None, batched, batch_first)


def _checked(
    operation: str, x: Tensor, features: int | None, lengths: Any, resets: Any
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    if features is not None:
        check_shape(operation, "input", x, ("T", "B", features))
    steps, batch = x.shape[:2]
    if steps == 0 or batch == 0:
        raise UsageError(
            operation,
            f"input must have at least one timestep and one sequence, found T={steps}, B={batch}",
        )
    if lengths is not None:
        lengths = _tensor(operation, "lengths", lengths).to(x.device).reshape(-1)
        check_shape(operation, "lengths", lengths, (batch,))
        if lengths.dtype == torch.bool or lengths.is_floating_point() or lengths.is_complex():
            raise UsageError(operation, f"lengths must be integers, found {lengths.dtype}")
        if not torch.compiler.is_compiling():  # values are unknown then; the core looks as it runs
            _check_values(operation, lengths, steps)
    if resets is not None:
        resets = resets.to(x.device)
        check_shape(operation, "resets", resets, (steps, batch))
        resets = resets.bool()
    return x, lengths, resets


def _tensor(operation: str, name: str, value: Any) -> Tensor:
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        form = type(value).__name__
        rule = f"{name} must be a tensor, or numbers that make one"
        raise UsageError(operation, f"{rule}, found a {form}") from None


def _check_values(operation: str, lengths: Tensor, steps: int) -> None:
    wrong = ((lengths < 1) | (lengths > steps)).nonzero()
    if len(wrong):
        at = int(wrong[0])
        raise UsageError(
            operation,
            f"lengths must be between 1 and T={steps}, found {int(lengths[at])} "
            f"at batch index {at}; clip or pad the sequence",
        )
