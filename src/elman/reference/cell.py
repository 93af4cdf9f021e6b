"""What the three cells share: their parameters, and the two parts that feed their gates.

A cell is one timestep. It is written in three methods a cell: ``step`` forward, ``step_back``
backward, and ``timestep``, which is ``step`` as one would call it. The loop over time is in
:mod:`elman.reference.recurrence`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Generic, NamedTuple, TypeVar

import numpy as np

from elman.errors import UsageError, check_shape
from elman.reference.activations import Array, NormSaved, layer_norm, layer_norm_back, sum_rows
from elman.spec import LayerSpec

State = tuple[Array, ...]  # one (B, size) for each entry of spec.state_sizes
Saved = TypeVar("Saved")


class PartSaved(NamedTuple):
    """What the backward pass of ``norm(W v) + b`` needs of the forward pass."""

    v: Array  # (..., N)
    norm: NormSaved | None


class Cell(ABC, Generic[Saved]):
    """One layer in one direction: a :class:`~elman.spec.LayerSpec` and its parameters.

    ``parameters`` holds exactly the names and shapes of ``spec.parameter_shapes``; float64 arrays
    are kept, not copied, so an update in place is seen here. Raises
    :class:`~elman.errors.UsageError` when names, shapes or the kind of cell do not fit.
    """

    kind: ClassVar[str]

    def __init__(self, spec: LayerSpec, parameters: Mapping[str, Array]) -> None:
        self.name = type(self).__name__
        if spec.cell != self.kind:
            raise UsageError(self.name, f"spec.cell must be {self.kind!r}, found {spec.cell!r}")
        shapes = spec.parameter_shapes
        if set(parameters) != set(shapes):
            missing = ", ".join(sorted(set(shapes) - set(parameters))) or "none"
            surplus = ", ".join(sorted(set(parameters) - set(shapes))) or "none"
            rule = "parameters must be those of spec.parameter_shapes"
            raise UsageError(self.name, f"{rule}, found missing: {missing}; surplus: {surplus}")
        self.spec = spec
        self.parameters = {n: np.asarray(parameters[n], dtype=np.float64) for n in shapes}
        for name, shape in shapes.items():
            check_shape(self.name, name, self.parameters[name], shape)

    @abstractmethod
    def step(self, a: Array, state: State, mask: Array | float = 1.0) -> tuple[State, Saved]:
        """One timestep from its input part.

        ``a`` is ``(B, G*H)``, from :meth:`input_part`; ``state`` is what ``t-1`` left. ``mask``
        ``(B, k*R)`` multiplies ``[h_{t-1} .. h_{t-k}]`` where it enters ``W_hh`` and nowhere else
        (Gal & Ghahramani 2016). Returns the state and what :meth:`step_back` needs.
        """

    @abstractmethod
    def step_back(
        self, d_state: State, saved: Saved, gradients: dict[str, Array]
    ) -> tuple[Array, State]:
        """Undo :meth:`step`: from the gradients of the state it returned to those it was given.

        Returns ``d_a`` ``(B, G*H)`` and the gradients of the previous state, and adds what this
        timestep contributes for each parameter into ``gradients``: the weights are shared by all
        timesteps, so their gradient is the sum over all timesteps.
        """

    def timestep(self, x: Array, state: State) -> tuple[Array, State]:
        """One timestep: ``x`` ``(B, D)`` and a state to ``y`` ``(B, R)`` and the next state."""
        x = np.asarray(x, dtype=np.float64)
        check_shape(self.name, "x", x, ("B", self.spec.input_size))
        state = self.check_state("state", state, (len(x),))
        a, _ = self.input_part(x)
        state, _ = self.step(a, state)
        return state[0], state

    def check_state(self, name: str, state: State, leading: tuple[int, ...]) -> State:
        """``state`` as float64, one array ``(*leading, size)`` a state, or a ``UsageError``."""
        sizes = self.spec.state_sizes
        if len(state) != len(sizes):
            rule = f"{name} must hold {len(sizes)} arrays ({', '.join(sizes)})"
            raise UsageError(self.name, f"{rule}, found {len(state)}")
        arrays = tuple(np.asarray(s, dtype=np.float64) for s in state)
        for (state_name, size), array in zip(sizes.items(), arrays, strict=True):
            check_shape(self.name, f"{name} {state_name}", array, (*leading, size))
        return arrays

    def initial_state(self) -> State:
        """The state a sequence starts from, one ``(size,)`` each: learned, or else zeros."""
        sizes = self.spec.state_sizes.items()
        return tuple(self.parameters.get(f"initial_{n}", np.zeros(size)) for n, size in sizes)

    # -- a = norm_ih(W_ih x) + b_ih  and  u = norm_hh(W_hh [h_{t-1} .. h_{t-k}]) + b_hh --

    def input_part(self, x: Array) -> tuple[Array, PartSaved]:
        """``a`` ``(..., G*H)`` of ``x`` ``(..., D)``: one timestep, or all of them at once."""
        return self._part("ih", x)

    def input_part_back(self, d_a: Array, saved: PartSaved, gradients: dict[str, Array]) -> Array:
        """The gradient of ``x`` from that of ``a``; adds into ``gradients``."""
        return self._part_back("ih", d_a, saved, gradients)

    def recurrent_part(self, state: State, mask: Array | float) -> tuple[Array, PartSaved]:
        """``u`` ``(B, G*H)`` of the last ``k`` hidden states, times ``mask``."""
        history = np.concatenate(state[: self.spec.order], axis=-1)  # (B, k*R)
        return self._part("hh", history * mask)

    def recurrent_part_back(
        self, d_u: Array, saved: PartSaved, mask: Array | float, gradients: dict[str, Array]
    ) -> list[Array]:
        """The gradients of the last ``k`` hidden states from that of ``u``."""
        d_history = self._part_back("hh", d_u, saved, gradients) * mask
        return np.split(d_history, self.spec.order, axis=-1)

    def _part(self, name: str, v: Array) -> tuple[Array, PartSaved]:
        product = v @ self.parameters[f"weight_{name}"].T
        normed, saved = self.norm(f"norm_{name}", product)
        return normed + self.parameters.get(f"bias_{name}", 0.0), PartSaved(v, saved)

    def _part_back(
        self, name: str, d: Array, saved: PartSaved, gradients: dict[str, Array]
    ) -> Array:
        if self.spec.bias:
            gradients[f"bias_{name}"] += sum_rows(d)
        d_product = self.norm_back(f"norm_{name}", d, saved.norm, gradients)
        gradients[f"weight_{name}"] += outer_sum(d_product, saved.v)
        return d_product @ self.parameters[f"weight_{name}"]

    def norm(self, name: str, v: Array) -> tuple[Array, NormSaved | None]:
        """Layer normalisation of ``v`` ``(..., N)``; the identity unless ``spec.layer_norm``."""
        if not self.spec.layer_norm:
            return v, None
        return layer_norm(v, self.parameters[name])

    def norm_back(
        self, name: str, d: Array, saved: NormSaved | None, gradients: dict[str, Array]
    ) -> Array:
        """The gradient of ``v`` from that of :meth:`norm`; adds into ``gradients``."""
        if saved is None:
            return d
        d_v, d_gain = layer_norm_back(d, saved, self.parameters[name])
        gradients[name] += d_gain
        return d_v


def outer_sum(d: Array, v: Array) -> Array:
    """The gradient ``(M, N)`` of ``W`` in ``W v``: ``d v^T`` summed over all leading axes."""
    return d.reshape(-1, d.shape[-1]).T @ v.reshape(-1, v.shape[-1])
