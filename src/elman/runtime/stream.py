"""A live stream: a network that takes one timestep after another and keeps its state."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import UsageError
from elman.runtime.engine import engine, pack
from elman.runtime.plan import Plan, make_plan
from elman.runtime.saved import STREAM, numbers, seal, unseal
from elman.runtime.state import State, checked, flat, split

Array = NDArray[Any]
MAX_BATCH = 1 << 16


class Stream:
    """A stack of recurrent layers and the state of one stream, or of several in step.

    Made by :meth:`from_weights`. The weights are packed once and are constant: :meth:`sibling`
    gives another stream that shares them. The state belongs to the stream alone, and a stream is
    used by one thread at a time. Nothing is allocated in a timestep but the array it returns,
    and with ``out`` not even that.
    """

    def __init__(
        self, plan: Plan, stack: Any, batch_size: int | None, fingerprint: bytes | None = None
    ) -> None:
        if batch_size is not None and not (
            isinstance(batch_size, int) and 1 <= batch_size <= MAX_BATCH
        ):
            rule = f"batch_size must be from 1 to {MAX_BATCH}, or None"
            raise UsageError("Stream", f"{rule}, found {batch_size!r}")
        self._plan, self._stack, self.batch_size = plan, stack, batch_size
        self._fingerprint = fingerprint
        self._rows = () if batch_size is None else (batch_size,)
        self._shape = (*self._rows, plan.output_size)
        self._dtype = plan.dtype
        self._engine = engine(plan, stack, batch_size)

    @classmethod
    def from_weights(
        cls,
        cell: str,
        arrays: Mapping[str, ArrayLike],
        *,
        batch_size: int | None = None,
        weights: str = "float32",
        nonlinearity: str = "tanh",
        order: int = 1,
        peephole: bool = False,
        layer_norm: bool = False,
        learn_initial_state: bool = False,
        zoneout: float | Sequence[float] = 0.0,
        proj_size: int = 0,
        tie: bool = False,
    ) -> "Stream":
        """A stream over the layers in ``arrays``, with its initial state.

        ``cell``: ``"elman"``, ``"gru"`` or ``"lstm"``.
        ``arrays``: name and array of every parameter, as in ``torch``'s state dict
        (``weight_ih_l0``, ``bias_hh_l1`` ..), with the further names of :mod:`elman.spec`. Copied.
        Those of a whole model may stand among them: ``embedding.weight`` ``(V, D)``, with which
        ``x`` is an id; or ``input.weight`` ``(D', D)`` and ``input.bias``, a dense layer before the
        recurrent ones; ``output.weight`` ``(V, H)`` and ``output.bias``, ``y = W_hy h + b_y``. A
        name may begin with ``recurrent.``, as in the file of a text model.
        ``tie``: the embedding is ``output.weight``.
        ``batch_size``: how many streams run in step; None for one, without that dimension.
        ``weights``: how they are kept. ``"float32"``; ``"bfloat16"``, 16 bits each;
        ``"int8"``, with one scale a row, multiplied with inputs rounded to 16 bits; ``"float64"``,
        with which everything else is float64 too.
        ``zoneout``: its expected value is used (Krueger et al. 2017); a number, or one a state.

        The embedding and all biases are not narrowed. The other options and all equations are
        those of :mod:`elman.spec`. Raises :class:`~elman.errors.UsageError` for names, shapes,
        types or options that do not go together.
        """
        operation = f"{cls.__name__}.from_weights"
        plan = make_plan(
            operation,
            cell,
            arrays,
            weights=weights,
            zoneout=zoneout,
            proj_size=proj_size,
            nonlinearity=nonlinearity,
            order=order,
            peephole=peephole,
            layer_norm=layer_norm,
            learn_initial_state=learn_initial_state,
            tie=tie,
        )
        try:
            return cls(plan, pack(plan), batch_size)
        except ValueError as error:
            raise _usage(operation, error) from None

    def timestep(self, x: Array, out: Array | None = None) -> Array:
        """One timestep of all layers: ``x`` ``(D,)`` to ``y`` ``(H,)``, the last layer's ``h_t``.

        With an output layer, ``y`` is ``(V,)``. With an embedding, ``x`` is an int, or an int64 or
        int32 array ``()``. With ``batch_size``, all have ``B`` rows: ``(B, D)`` to ``(B, H)``, ids
        ``(B,)``. Otherwise ``x`` has the stream's dtype; it may have any strides.
        ``out``, if given, receives ``y`` and is returned: C-contiguous, and it may be ``x``.
        Raises :class:`~elman.errors.UsageError` for another shape or type.
        """
        if out is None:
            out = np.empty(self._shape, self._dtype)
        try:
            self._engine.timestep(x, out)
        except ValueError as error:
            raise _usage("Stream.timestep", error) from None
        return out

    def reset(self) -> None:
        """Go back to the initial state: zeros, or the learned one."""
        self._engine.reset()

    @property
    def state(self) -> State:
        """For each layer a tuple with a copy of each state, ``(H,)`` or ``(B, H)``.

        They are ``h``; ``h, c`` for the LSTM; ``h, h2 .. hk``, newest first, for order ``k``.
        It can be set to such a tuple; the arrays are copied.
        """
        layers = []
        for layer, spec in enumerate(self._plan.specs):
            arrays = []
            for index, size in enumerate(spec.state_sizes.values()):
                array = np.empty((*self._rows, size), self._dtype)
                self._engine.read(layer, index, array)
                arrays.append(array)
            layers.append(tuple(arrays))
        return tuple(layers)

    @state.setter
    def state(self, state: Sequence[Sequence[ArrayLike]]) -> None:
        """Copies; refuses a wrong one as a whole."""
        for number, layer in enumerate(checked("Stream.state", self._plan, self._rows, state)):
            for index, array in enumerate(layer):
                self._engine.write(number, index, array)

    def sibling(self, batch_size: int | None = None) -> "Stream":
        """Another stream over the same packed weights, with the initial state."""
        return Stream(self._plan, self._stack, batch_size, self._fingerprint)

    def fork(self) -> "Stream":
        """Another stream over the same packed weights, in the same state."""
        twin = self.sibling(self.batch_size)
        twin.state = self.state
        return twin

    def state_bytes(self) -> bytes:
        """The state, for :meth:`restore` by a stream of the same model in another process.

        Raises :class:`~elman.errors.UsageError` for a stream :meth:`from_weights`: only a model
        that was loaded can be told from others.
        """
        content = flat(self.state).astype(self._dtype.newbyteorder("<")).tobytes()
        return seal(STREAM, self._model("state_bytes"), content)

    def restore(self, state: bytes) -> None:
        """Take the state that :meth:`state_bytes` gave.

        Raises :class:`~elman.errors.DataError` for anything else, and then changes nothing.
        """
        size = flat(self.state).size
        content = unseal(STREAM, self._model("restore"), state, size * self._dtype.itemsize)
        self.state = split(self._plan, self._rows, numbers(content, (size,), self._dtype))

    def _model(self, operation: str) -> bytes:
        if self._fingerprint is None:
            rule = "the stream must be one of a loaded model"
            raise UsageError(operation, f"{rule}, found one from weights; read its state instead")
        return self._fingerprint

    def __copy__(self) -> "Stream":
        return self.fork()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Stream":
        return self.fork()  # the weights are constant, so that sharing them is a deep copy

    def __reduce__(self) -> str:
        raise UsageError("Stream", "a stream cannot be pickled; keep its weights and its state")


def _usage(operation: str, error: ValueError) -> UsageError:
    return error if isinstance(error, UsageError) else UsageError(operation, str(error))
