"""The table: for each cell its gates in order, its states, its parameters and their shapes.

``reference``, ``nn``, the native core, model files and the documentation all read this module, so
a name or a gate order is written here and nowhere else. Names and orders are PyTorch's.

The cells, with the options that add parameters (``D`` input size, ``H`` hidden size, ``R`` size of
the output state: ``proj_size`` or ``H``, ``G`` number of gates, ``k`` order)::

    a_t = norm_ih(W_ih x_t)             + b_ih              input part, all t in one product
    u_t = norm_hh(W_hh [h_{t-1} .. h_{t-k}]) + b_hh         recurrent part, step by step

    elman   h_t = f(a_t + u_t)                              f = tanh or relu
    gru     r = s(a_r + u_r)   z = s(a_z + u_z)   n = tanh(a_n + r * u_n)
            h_t = (1 - z) * n + z * h_{t-1}
    lstm    i = s(a_i + u_i + p_i * c_{t-1})   f = s(a_f + u_f + p_f * c_{t-1})
            g = tanh(a_g + u_g)                c_t = f * c_{t-1} + i * g
            o = s(a_o + u_o + p_o * c_t)       h_t = W_hr (o * tanh(norm_c(c_t)))

where ``norm_*`` is the identity unless ``layer_norm``, ``p_*`` is zero unless ``peephole`` and
``W_hr`` is the identity unless ``proj_size``. Layer normalisation follows Ba et al. (2016),
equations 20-22: one normalisation over the whole ``G*H`` vector of each part, gain ``norm_ih`` or
``norm_hh``, with ``b_ih`` and ``b_hh`` as its shift, and one over ``c_t`` with gain ``norm_c`` and
shift ``norm_c_bias``. Peepholes follow Gers & Schmidhuber (2000): ``i`` and ``f`` look at
``c_{t-1}``, ``o`` at ``c_t``. Order ``k`` gives ``W_hh`` one block of ``H`` columns a past state,
the newest first.
"""

from dataclasses import dataclass

from elman.errors import UsageError

LAYER_NORM_EPS = 1e-5
NONLINEARITIES = ("tanh", "relu")


@dataclass(frozen=True, slots=True)
class Cell:
    """What is fixed about a kind of cell: its gates and its states, in order."""

    name: str
    gates: tuple[str, ...]
    states: tuple[str, ...]


CELLS = {
    "elman": Cell("elman", gates=("h",), states=("h",)),
    "gru": Cell("gru", gates=("r", "z", "n"), states=("h",)),
    "lstm": Cell("lstm", gates=("i", "f", "g", "o"), states=("h", "c")),
}


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One layer in one direction: a cell, its sizes and the options that add parameters.

    Raises :class:`~elman.errors.UsageError` when sizes or options do not go together.
    """

    cell: str
    input_size: int
    hidden_size: int
    bias: bool = True
    nonlinearity: str = "tanh"
    order: int = 1
    peephole: bool = False
    proj_size: int = 0
    layer_norm: bool = False
    learn_initial_state: bool = False

    def __post_init__(self) -> None:
        rules = (
            (self.cell in CELLS, f"cell must be one of {', '.join(CELLS)}", self.cell),
            (self.input_size >= 1, "input_size must be at least 1", self.input_size),
            (self.hidden_size >= 1, "hidden_size must be at least 1", self.hidden_size),
            (self.order >= 1, "order must be at least 1", self.order),
            (self.order == 1 or self.cell == "elman", "order needs the elman cell", self.cell),
            (not self.peephole or self.cell == "lstm", "peephole needs the lstm cell", self.cell),
            (not self.proj_size or self.cell == "lstm", "proj_size needs the lstm cell", self.cell),
            (
                0 <= self.proj_size < self.hidden_size,
                f"proj_size must be from 0 to hidden_size - 1 = {self.hidden_size - 1}",
                self.proj_size,
            ),
            (
                self.nonlinearity in NONLINEARITIES,
                f"nonlinearity must be one of {', '.join(NONLINEARITIES)}",
                self.nonlinearity,
            ),
        )
        for holds, rule, found in rules:
            if not holds:
                raise UsageError("layer", f"{rule}, found {found!r}")

    @property
    def gates(self) -> tuple[str, ...]:
        """The gates, in the order of the rows of ``weight_ih``."""
        return CELLS[self.cell].gates

    @property
    def output_size(self) -> int:
        """Size of ``h_t``: ``proj_size`` where there is one, else ``hidden_size``."""
        return self.proj_size or self.hidden_size

    @property
    def state_sizes(self) -> dict[str, int]:
        """Name and size of each state, ``h`` first; order k keeps ``h, h2 .. hk``, newest first."""
        sizes = {"h": self.output_size}
        sizes.update({f"h{j}": self.output_size for j in range(2, self.order + 1)})
        if "c" in CELLS[self.cell].states:
            sizes["c"] = self.hidden_size
        return sizes

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name (without layer suffix) and shape of each parameter, in PyTorch's order."""
        rows = len(self.gates) * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, self.input_size),
            "weight_hh": (rows, self.order * self.output_size),
        }
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        if self.layer_norm:
            shapes |= {"norm_ih": (rows,), "norm_hh": (rows,)}
            if self.cell == "lstm":
                shapes["norm_c"] = (self.hidden_size,)
                if self.bias:
                    shapes["norm_c_bias"] = (self.hidden_size,)
        if self.peephole:
            shapes["peephole"] = (3 * self.hidden_size,)  # i, f, o
        if self.learn_initial_state:
            shapes |= {f"initial_{name}": (size,) for name, size in self.state_sizes.items()}
        return shapes


def suffix(layer: int, reverse: bool = False) -> str:
    """What PyTorch appends to a parameter's name: ``_l0``, ``_l0_reverse``, ``_l1`` ..."""
    return f"_l{layer}_reverse" if reverse else f"_l{layer}"
