"""The network of the textbook: recurrent layers, an output layer, and a state that it keeps."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from elman.errors import DivergedError, UsageError, check_shape
from elman.reference.activations import Array
from elman.reference.build import build, initialise
from elman.reference.cell import State
from elman.reference.output import Linear, cross_entropy
from elman.reference.recurrence import backward, forward
from elman.reference.sgd import sgd
from elman.spec import LayerSpec


class Network:
    """A stack of recurrent layers and an output layer, used one timestep at a time.

    ``specs`` from the input up, each reading what the one below puts out; ``output_size`` is ``V``.
    Equal seeds give equal networks. Raises :class:`~elman.errors.UsageError` when the sizes do not
    fit together.

    >>> network = Network([LayerSpec("elman", input_size=3, hidden_size=4)], output_size=2, seed=1)
    >>> network.timestep(np.ones((1, 3))).shape
    (1, 2)
    """

    def __init__(self, specs: Sequence[LayerSpec], output_size: int, seed: int) -> None:
        if not specs:
            raise UsageError("Network", "specs must hold at least one layer, found none")
        if output_size < 1:
            raise UsageError("Network", f"output_size must be at least 1, found {output_size}")
        for below, above in pairwise(specs):
            if above.input_size != below.output_size:
                rule = f"a layer above one of output size {below.output_size} must read as much"
                raise UsageError("Network", f"{rule}, found input_size {above.input_size}")
        rng = np.random.default_rng(seed)
        self.layers = [build(spec, initialise(spec, rng)) for spec in specs]
        width = specs[-1].output_size
        bound = 1.0 / np.sqrt(width)
        weight = rng.uniform(-bound, bound, (output_size, width))
        self.output = Linear(weight, rng.uniform(-bound, bound, output_size))
        self._states: list[State] = []

    def reset(self) -> None:
        """Forget: the next timestep starts from the initial state, with any batch size."""
        self._states = []

    def timestep(self, x: ArrayLike) -> Array:
        """``x`` ``(B, D)`` at this timestep to the scores ``y`` ``(B, V)``; the state moves on."""
        y = np.asarray(x, dtype=np.float64)
        check_shape("Network", "x", y, ("B", self.layers[0].spec.input_size))
        if not self._states:
            self._states = [
                tuple(np.tile(s, (len(y), 1)) for s in layer.initial_state())
                for layer in self.layers
            ]
        batch = len(self._states[0][0])
        if len(y) != batch:
            rule = f"x must keep B={batch} until reset()"
            raise UsageError("Network", f"{rule}, found B={len(y)}; call reset() to change it")
        for index, layer in enumerate(self.layers):
            y, self._states[index] = layer.timestep(y, self._states[index])
        return self.output.forward(y)

    def train(self, inputs: ArrayLike, targets: ArrayLike, rate: float) -> float:
        """One update by backpropagation through all timesteps of a batch of sequences.

        ``inputs`` ``(T, B, D)``; ``targets`` ``(T, B)``, the right index at each timestep or a
        negative number for none. Sequences start from the initial state; the state that
        :meth:`timestep` keeps is left alone. Returns the loss before the update, in nats a target.

        Raises :class:`~elman.errors.DivergedError` when the loss is not a finite number.
        """
        traces = []
        h = np.asarray(inputs, dtype=np.float64)
        for layer in self.layers:
            traces.append(forward(layer, h))
            h = traces[-1].outputs
        loss, d_y = cross_entropy(self.output.forward(h), targets)
        if not np.isfinite(loss):
            raise DivergedError("Network", f"the loss must be finite, found {loss}; lower the rate")
        d_h, output_gradients = self.output.backward(d_y, h)
        layer_gradients = []
        for trace in reversed(traces):
            gradients = backward(trace, d_h)
            d_h = gradients.x
            layer_gradients.append(gradients.parameters)
        sgd(self.output.parameters, output_gradients, rate)
        for layer, found in zip(reversed(self.layers), layer_gradients, strict=True):
            sgd(layer.parameters, found, rate)
        return loss
