"""A stack of recurrent layers, one or two directions each: what RNN, GRU and LSTM share."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from elman import core
from elman.errors import UsageError
from elman.nn import door, functional, states
from elman.nn.bernoulli import bernoulli
from elman.nn.loop import Conditions
from elman.nn.states import HandedOut, State
from elman.spec import CELLS, LayerSpec, suffix


class RecurrentStack(nn.Module):
    """Layers of one kind of cell, called as ``y, state = stack(x, hx=None, lengths=, resets=)``.

    Beyond the arguments of ``torch.nn``:

    hidden_size: an int, or one size a layer; with a list, states are lists of one (directions, B,
        size) tensor a layer instead of one (layers * directions, B, size) tensor.
    layer_norm: normalise the input part, the recurrent part and the LSTM's cell state (Ba et al.
        2016); the equations are in ``elman.spec``.
    recurrent_dropout: probability of masking a unit of the state as it enters ``W_hh``, one mask
        a sequence (Gal & Ghahramani 2016); in training only.
    zoneout: probability that a unit keeps its old value at a timestep (Krueger et al. 2017); one
        number, or one a state (h, c). In evaluation its expected value is used.
    learn_initial_state: the state of sequences that come without ``hx`` is a parameter.
    recompute: keep only inputs and states for the backward pass, and run each layer forward again
        there: the same gradients to the last bit, for about a third more time. The attribute of
        this name may be set at any time. Without it a layer keeps, beside its input and output,
        what ``elman.nn.operators.results`` states: 1, 5 or 6 numbers (RNN, GRU, LSTM) a timestep,
        sequence and unit, which is 4, 20 or 24 bytes in float32.

    Raises UsageError for sizes and options that do not go together.
    """

    def __init__(
        self,
        cell: str,
        cell_options: dict[str, Any],
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        *,
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float | Sequence[float] = 0.0,
        learn_initial_state: bool = False,
        recompute: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        core.native()  # says so, once, where there is none
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bool(bias)
        self.batch_first, self.bidirectional = batch_first, bidirectional
        self.recompute = recompute
        self.dropout = self._probability("dropout", dropout)
        self.recurrent_dropout = self._probability("recurrent_dropout", recurrent_dropout)
        base_states = CELLS[cell].states
        rates = tuple(zoneout) if isinstance(zoneout, Sequence) else (zoneout,) * len(base_states)
        if len(rates) != len(base_states):
            raise UsageError(
                self._name, f"zoneout must be one number or one for each of {base_states}"
            )
        self.zoneout = tuple(self._probability("zoneout", rate) for rate in rates)
        sizes = self._sizes(hidden_size, num_layers)
        self.num_layers, self.directions = len(sizes), 2 if bidirectional else 1
        options = {"bias": self.bias, "layer_norm": layer_norm, **cell_options}
        options["learn_initial_state"] = learn_initial_state
        self.specs: list[list[LayerSpec]] = []  # [layer][direction]
        features = input_size
        for size in sizes:
            spec = LayerSpec(cell, features, size, **options)
            self.specs.append([spec] * self.directions)
            features = spec.output_size * self.directions
        self.output_size = features
        self._names: list[list[dict[str, str]]] = [[] for _ in self.specs]  # short: of the module
        for layer, reverse, spec in self._each():
            names = {name: name + suffix(layer, reverse) for name in spec.parameter_shapes}
            self._names[layer].append(names)
            for name, shape in spec.parameter_shapes.items():
                value = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
                self.register_parameter(names[name], value)
        self.reset_parameters()

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _probability(self, name: str, value: float) -> float:
        if isinstance(value, bool) or not 0 <= value <= 1:
            raise UsageError(self._name, f"{name} must be a number from 0 to 1, found {value}")
        return float(value)

    def _sizes(self, hidden_size: int | Sequence[int], num_layers: int) -> list[int]:
        if isinstance(hidden_size, int):
            if num_layers < 1:
                raise UsageError(self._name, f"num_layers must be at least 1, found {num_layers}")
            return [hidden_size] * num_layers
        if not hidden_size or num_layers not in (1, len(hidden_size)):
            raise UsageError(
                self._name, f"hidden_size lists {len(hidden_size)} layers, num_layers {num_layers}"
            )
        return list(hidden_size)

    def _each(self) -> Iterator[tuple[int, bool, LayerSpec]]:
        for layer, directions in enumerate(self.specs):
            for direction, spec in enumerate(directions):
                yield layer, direction == 1, spec

    def _parameters_of(self, layer: int, reverse: bool) -> dict[str, Tensor]:
        names = self._names[layer][int(reverse)]
        return {short: getattr(self, name) for short, name in names.items()}

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all parameters anew: uniform in ±1/√H as PyTorch does, gains 1, states 0."""
        for layer, reverse, spec in self._each():
            bound = 1.0 / math.sqrt(spec.hidden_size)  # to the last bit as PyTorch
            for name, parameter in self._parameters_of(layer, reverse).items():
                if name.startswith("norm_"):
                    nn.init.constant_(parameter, float(not name.endswith("bias")))
                elif name.startswith("initial_"):
                    nn.init.zeros_(parameter)
                else:
                    nn.init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing: there for programs written for ``torch.nn``, whose GPU kernels need it."""

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each layer and direction, as ``torch.nn`` lists them."""
        return [list(self._parameters_of(i, reverse).values()) for i, reverse, _ in self._each()]

    def initial_state(self, batch: int | None) -> HandedOut:
        """State that sequences start from: zeros, or what was learned.

        ``batch=None`` gives it without a batch dimension.
        """
        first = [self._initial(i, r, batch or 1) for i, r, _ in self._each()]
        return states.hand_out(first, self.hidden_size, self.directions, batch is not None)

    def _initial(self, layer: int, reverse: bool, batch: int) -> State:
        spec = self.specs[layer][int(reverse)]
        if spec.learn_initial_state:
            learned = (
                getattr(self, f"initial_{n}{suffix(layer, reverse)}") for n in spec.state_sizes
            )
            return tuple(each.expand(batch, -1) for each in learned)
        like: Tensor = getattr(self, "weight_hh" + suffix(layer, reverse))
        return tuple(like.new_zeros(batch, size) for size in spec.state_sizes.values())

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: HandedOut | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Any, HandedOut]:
        """Run sequences through the stack.

        input: (T, B, D), (B, T, D) if ``batch_first``, (T, D) for one sequence, or packed.
        hx: as returned by this method, or None for :meth:`initial_state`.
        lengths: (B,) valid timesteps of each sequence; outputs beyond are 0.
        resets: bool, as the input without features: where true, the state returns to
            :meth:`initial_state` before that timestep, so nothing passes from before it to after,
            in either direction.

        Returns the outputs (T, B, directions * R), in the form the input had, and the final state
        as ``torch.nn`` hands it out. Raises UsageError for arguments that do not fit.
        """
        entered = door.enter(self._name, input, self.input_size, lengths, resets, self.batch_first)
        outputs, final, _ = self._run(entered, hx, trajectory=False)
        outside = states.hand_out(final, self.hidden_size, self.directions, entered.batched)
        return entered.leave(outputs), outside

    def step(self, x: Tensor, state: HandedOut | None = None) -> tuple[Tensor, HandedOut]:
        """One timestep: x (B, D) or (D,), and a state as ``forward`` returns it -> (y, state)."""
        if self.bidirectional:
            raise UsageError(
                self._name, "a step needs the past only, found bidirectional=True; use forward"
            )
        if x.ndim not in (1, 2):
            raise UsageError(self._name, f"step takes x (B, D) or (D,), found {tuple(x.shape)}")
        time = 1 if self.batch_first and x.ndim == 2 else 0
        y, state = self(x.unsqueeze(time), state)
        return y.squeeze(time), state

    def trajectory(
        self,
        input: Tensor | PackedSequence,
        hx: HandedOut | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
    ) -> HandedOut:
        """Every state of every layer after every timestep; arguments as in ``forward``.

        Laid out as the final state with a time dimension after the first: (layers * directions,
        T, B, size), or (·, B, T, size) if ``batch_first``. Zero beyond ``lengths``.
        """
        entered = door.enter(self._name, input, self.input_size, lengths, resets, self.batch_first)
        _, _, every = self._run(entered, hx, trajectory=True)
        if self.batch_first and entered.batched and entered.packed is None:
            every = [tuple(each.transpose(0, 1) for each in layer) for layer in every]
        how = {"together": states.view_or_stack}
        return states.hand_out(every, self.hidden_size, self.directions, entered.batched, **how)

    def _run(
        self, entered: door.Entered, hx: HandedOut | None, *, trajectory: bool
    ) -> tuple[Tensor, list[State], list[State]]:
        x = entered.x
        first: list[State] = []
        if hx is not None:
            first = states.take_in(
                self._name, hx, self.specs, self.hidden_size, x.shape[1], entered.batched
            )
        self._check_types(x, first)
        final: list[State] = []
        every: list[State] = []
        for layer, directions in enumerate(self.specs):
            outputs = []
            for reverse, spec in zip((False, True), directions, strict=False):
                initial: State = ()
                if not first or entered.resets is not None:
                    initial = self._initial(layer, reverse, x.shape[1])
                start = first[len(final)] if first else initial
                around = self._around(spec, x, entered, initial)
                p = self._parameters_of(layer, reverse)
                how = {"trajectory": trajectory, "recompute": self.recompute}
                result = functional.layer(spec, p, x, start, around, reverse=reverse, **how)
                outputs.append(result.outputs)
                final.append(result.final)
                every.append(result.trajectory or ())
            x = torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]
            if layer < self.num_layers - 1:
                x = nn.functional.dropout(x, self.dropout, self.training)
        return x, final, every

    def _check_types(self, x: Tensor, first: list[State]) -> None:
        # Autocast brings everything to one type by itself.
        if torch.is_autocast_enabled(x.device.type):
            return
        wanted = self.weight_ih_l0.dtype
        for tensor in (x, *(t for s in first for t in s)):
            if tensor.dtype != wanted:
                rule = f"{'input' if tensor is x else 'hx'} must be {wanted}, as the parameters are"
                raise UsageError(self._name, f"{rule}, found {tensor.dtype}; convert one")

    def _around(
        self, spec: LayerSpec, x: Tensor, entered: door.Entered, initial: State
    ) -> Conditions:
        """Draw what is random in training; in evaluation take its expected value."""
        batch = x.shape[1]
        mask = None
        if self.training and self.recurrent_dropout:
            ones = torch.ones(batch, spec.order * spec.output_size, dtype=x.dtype, device=x.device)
            mask = nn.functional.dropout(ones, self.recurrent_dropout)
        keep = None
        if any(self.zoneout):
            sizes = spec.state_sizes
            rates = dict(zip(CELLS[spec.cell].states, self.zoneout, strict=True))
            keep = tuple(
                self._keep(x, rates[name], size) if rates.get(name) else None
                for name, size in sizes.items()
            )
        return Conditions(entered.lengths, entered.resets, initial, mask, keep)

    def _keep(self, x: Tensor, rate: float, size: int) -> Tensor:
        if self.training:
            return bernoulli(rate, (*x.shape[:2], size), x)
        return x.new_full((1, 1, 1), rate).expand(x.shape[0], 1, 1)

    def extra_repr(self) -> str:
        """What ``print`` shows of the layer."""
        spec = self.specs[0][0]
        shown = [f"{self.input_size}, {self.hidden_size}", f"num_layers={self.num_layers}"]
        shown += [
            f"{name}={getattr(self, name)}"
            for name in (
                "batch_first",
                "dropout",
                "bidirectional",
                "recurrent_dropout",
                "recompute",
            )
            if getattr(self, name)
        ]
        shown += [f"zoneout={self.zoneout}"] if any(self.zoneout) else []
        defaults = LayerSpec(spec.cell, 1, 1)
        for name in (
            "bias",
            "nonlinearity",
            "order",
            "peephole",
            "proj_size",
            "layer_norm",
            "learn_initial_state",
        ):
            if getattr(spec, name) != getattr(defaults, name):
                shown.append(f"{name}={getattr(spec, name)}")
        return ", ".join(shown)
