"""What computes: the native core where there is one, the textbook where not."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from elman.core import cores, native, threads
from elman.decode import sample
from elman.runtime.plan import Dense, Plan, Recurrent

Array = NDArray[Any]


class Engine(Protocol):
    """Runs a stream; a state is (recurrent layer, index)."""

    def timestep(self, x: Array, out: Array, /) -> None:
        """``x`` to ``out``; the state goes on."""

    def advance(self, x: Array, states: Array, out: Array, after: Array, /) -> None:
        """``x`` and ``states``, rows of any number up to the batch, to ``out`` and ``after``.

        A row's result does not depend on the others. What the engine itself keeps is lost.
        """

    def predict(self, token: int, state: Array, log_probs: Array, after: Array, /) -> None:
        """A token's id and one row of states to what comes next ``(V,)``, float64, and its row."""

    def compose(
        self,
        token: int,
        states: Array,
        forbidden: Array,
        uniforms: Array,
        temperature: float,
        top_k: int,
        top_p: float,
        tokens: Array,
        log_probs: Array,
        after: Array,
        /,
    ) -> None:
        """:meth:`predict` and :func:`draw` with each of ``uniforms``, and so on with the token."""

    def state_size(self) -> int:
        """How many numbers the states of all layers have together."""
        ...

    def reset(self) -> None:
        """The initial state."""

    def read(self, layer: int, index: int, out: Array, /) -> None:
        """Copy a state into ``out``."""

    def write(self, layer: int, index: int, state: Array, /) -> None:
        """Copy ``state`` in."""


def pack(plan: Plan) -> Any:
    """The layers of a plan, ready to run: packed once, constant, shared by all engines."""
    core = native()
    if core is None:
        from elman.runtime.textbook import TextbookStack

        return TextbookStack(plan)
    kind = core.Stack64 if plan.weights == "float64" else core.Stack32
    stack = kind(threads(cores()))
    if plan.embedding is not None:
        stack.set_embedding({"embedding": plan.embedding}, *plan.embedding.shape)
    for layer in plan.layers:
        if isinstance(layer, Dense):
            _add_dense(stack, layer, plan.weights)
        else:
            _add_recurrent(stack, layer, plan.weights)
    return stack


def _add_recurrent(stack: Any, layer: Recurrent, weights: str) -> None:
    spec, arrays = layer.spec, dict(layer.arrays)
    if spec.learn_initial_state:  # h, h2 .. hk as the core takes them: one after the other
        past = [arrays[f"initial_{name}"] for name in spec.state_sizes if name != "c"]
        arrays["initial_h"] = np.concatenate(past)
    stack.add_layer(
        cell=spec.cell,
        weights=weights,
        inputs=spec.input_size,
        units=spec.hidden_size,
        outputs=spec.output_size,
        order=spec.order,
        relu=spec.nonlinearity == "relu",
        keep_h=layer.keep[0],
        keep_c=layer.keep[-1],
        arrays=arrays,
    )


def _add_dense(stack: Any, layer: Dense, weights: str) -> None:
    arrays = {f"{name}_ih": array for name, array in layer.arrays.items()}
    rows, columns = arrays["weight_ih"].shape
    stack.add_layer("elman", weights, columns, rows, rows, 0, False, 0.0, 0.0, arrays)


def engine(plan: Plan, stack: Any, batch_size: int | None) -> Engine:
    """What runs ``batch_size`` streams in step, or one without that dimension."""
    rows = 1 if batch_size is None else batch_size
    core = native()
    if core is None:
        from elman.runtime.textbook import TextbookStream

        return TextbookStream(stack, rows, batch_size is not None)
    kind = core.Stream64 if plan.weights == "float64" else core.Stream32
    made: Engine = kind(stack, rows, batch_size is not None)
    return made


def draw(
    log_probs: NDArray[np.float64], forbidden: NDArray[np.intp], uniform: float, *sampling: Any
) -> int:
    """:func:`elman.decode.sample.draw`, in the core, but for the rounding of its sums."""
    core = native()
    if core is not None:
        try:
            return int(core.draw(log_probs, forbidden, uniform, *sampling))
        except ValueError:
            pass  # and be told what is wrong
    return sample.draw(log_probs, forbidden, uniform, *sampling)


def log_softmax(y: Array) -> None:
    """Outputs ``(N, V)`` to log-probabilities, in place, each row as if it were alone."""
    core = native()
    if core is not None:
        core.log_softmax(y)
        return
    from elman.runtime.textbook import log_softmax as of_row

    for row in y:
        row[:] = of_row(row)
