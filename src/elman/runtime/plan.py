"""From names and arrays to layers: what a stack of weights is, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import UsageError, check_choice, check_shape
from elman.spec import CELLS, LayerSpec, suffix

FORMATS = ("float32", "bfloat16", "int8", "float64")


@dataclass(frozen=True)
class Dense:
    """A layer without a state: ``y = W x + b``."""

    arrays: dict[str, NDArray[Any]]  # weight and, where it has one, bias

    @property
    def input_size(self) -> int:
        """The columns of ``W``."""
        return int(self.arrays["weight"].shape[1])

    @property
    def output_size(self) -> int:
        """The rows of ``W``."""
        return len(self.arrays["weight"])


@dataclass(frozen=True)
class Recurrent:
    """A recurrent layer."""

    spec: LayerSpec
    arrays: dict[str, NDArray[Any]]  # names without the layer's suffix
    keep: tuple[float, ...]  # zoneout, one a base state

    @property
    def input_size(self) -> int:
        """The number of inputs."""
        return self.spec.input_size

    @property
    def output_size(self) -> int:
        """The size of ``h``."""
        return self.spec.output_size


@dataclass(frozen=True)
class Plan:
    """A stack of layers, each of which takes what the one below gives."""

    embedding: NDArray[Any] | None  # (V, D)
    layers: tuple[Dense | Recurrent, ...]
    weights: str

    @property
    def specs(self) -> list[LayerSpec]:
        """The recurrent layers."""
        return [layer.spec for layer in self.layers if isinstance(layer, Recurrent)]

    @property
    def input_size(self) -> int | None:
        """The number of inputs; None where the input is an id."""
        return None if self.embedding is not None else self.layers[0].input_size

    @property
    def output_size(self) -> int:
        """The number of outputs."""
        return self.layers[-1].output_size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the input, the output and the state."""
        return np.dtype("float64" if self.weights == "float64" else "float32")


def make_plan(
    operation: str,
    cell: str,
    arrays: Mapping[str, ArrayLike],
    *,
    weights: str,
    zoneout: float | Sequence[float],
    tie: bool,
    **options: Any,
) -> Plan:
    """Check names, shapes and options; see :meth:`elman.runtime.stream.Stream.from_weights`."""
    check_choice(operation, "cell", cell, CELLS)
    check_choice(operation, "weights", weights, FORMATS)
    keep = _keep(operation, cell, zoneout)
    given = {str(name).removeprefix("recurrent."): array for name, array in arrays.items()}
    embedding, ends = _ends(operation, given, weights, tie)
    specs: list[LayerSpec] = []
    layers: list[Dense | Recurrent] = []
    while not specs or "weight_ih" + suffix(len(specs)) in given:
        end = suffix(len(specs))
        spec = _spec(operation, cell, given, end, options)
        if specs and spec.input_size != specs[-1].output_size:
            rule = f"weight_ih{end} must have {specs[-1].output_size} columns, as many as the layer"
            raise UsageError(operation, f"{rule} below gives, found {spec.input_size}")
        specs.append(spec)
        layers.append(Recurrent(spec, _parameters(operation, spec, given, end, weights), keep))
    _check_ends(operation, specs, embedding, ends)
    if given:
        expected = ", ".join(specs[0].parameter_shapes)
        rule = f"names must be {expected} with _l0, _l1 ..; remove it or set its option"
        raise UsageError(operation, f"{rule}, found {str(next(iter(given)))[:60]!r}")
    before = [Dense(ends["input"])] if "input" in ends else []
    behind = [Dense(ends["output"])] if "output" in ends else []
    return Plan(embedding, (*before, *layers, *behind), weights)


def _keep(operation: str, cell: str, zoneout: float | Sequence[float]) -> tuple[float, ...]:
    states = CELLS[cell].states
    keep = tuple(zoneout) if isinstance(zoneout, Sequence) else (zoneout,) * len(states)
    if len(keep) != len(states) or not all(0 <= k <= 1 for k in keep):
        rule = f"zoneout must be one number from 0 to 1, or one for each of {', '.join(states)}"
        raise UsageError(operation, f"{rule}, found {zoneout!r}")
    return tuple(float(k) for k in keep)


def _spec(
    operation: str,
    cell: str,
    given: Mapping[str, ArrayLike],
    end: str,
    options: Mapping[str, Any],
) -> LayerSpec:
    """What the shapes of ``weight_ih`` and ``weight_hh`` say, with the options."""
    for name in ("weight_ih", "weight_hh"):
        if name + end not in given:
            raise UsageError(operation, f"{name}{end} must be given, found {_names(given)}")
    weight_ih = _as_array(operation, given["weight_ih" + end], "weight_ih" + end)
    check_shape(operation, "weight_ih" + end, weight_ih, ("G*H", "D"))
    rows, inputs = weight_ih.shape
    gates = len(CELLS[cell].gates)
    if rows % gates:
        rule = f"weight_ih{end} must have {gates} rows a hidden unit"
        raise UsageError(operation, f"{rule} for the {cell} cell, found {rows}")
    return LayerSpec(cell, inputs, rows // gates, bias="bias_ih" + end in given, **options)


def _ends(
    operation: str, given: dict[str, ArrayLike], weights: str, tie: bool
) -> tuple[NDArray[Any] | None, dict[str, dict[str, NDArray[Any]]]]:
    """Take what is before and behind the recurrent layers out of ``given``."""
    ends = {}
    for name in ("input", "output"):
        if f"{name}.weight" in given:
            weight = _array(operation, given, f"{name}.weight", ("rows", "columns"), weights)
            ends[name] = {"weight": weight}
            if f"{name}.bias" in given:
                shape = (len(weight),)
                ends[name]["bias"] = _array(operation, given, f"{name}.bias", shape, weights)
    if tie:
        if "output" not in ends or "embedding.weight" in given:
            rule = "tie needs output.weight, and no embedding.weight beside it"
            raise UsageError(operation, f"{rule}, found {_names(given)}")
        return ends["output"]["weight"], ends
    if "embedding.weight" not in given:
        return None, ends
    return _array(operation, given, "embedding.weight", ("V", "D"), weights), ends


def _check_ends(
    operation: str,
    specs: Sequence[LayerSpec],
    embedding: NDArray[Any] | None,
    ends: Mapping[str, Mapping[str, NDArray[Any]]],
) -> None:
    """Refuse two inputs, and sizes that do not meet."""
    inputs, outputs = specs[0].input_size, specs[-1].output_size
    if embedding is not None:
        check_shape(operation, "embedding.weight", embedding, ("V", inputs))
        if "input" in ends:
            raise UsageError(operation, "input.weight must not stand beside an embedding; choose")
    if "input" in ends:
        check_shape(operation, "input.weight", ends["input"]["weight"], (inputs, "D"))
    if "output" in ends:
        check_shape(operation, "output.weight", ends["output"]["weight"], ("V", outputs))


def _names(given: Mapping[str, ArrayLike]) -> str:
    names = [str(name)[:40] for name in given]
    return ", ".join(names[:6]) + (" .." if len(names) > 6 else "") if names else "nothing"


def _parameters(
    operation: str, spec: LayerSpec, given: dict[str, ArrayLike], end: str, weights: str
) -> dict[str, NDArray[Any]]:
    """Take one layer's parameters out of ``given``."""
    return {
        name: _array(operation, given, name + end, shape, weights)
        for name, shape in spec.parameter_shapes.items()
    }


def _array(
    operation: str,
    given: dict[str, ArrayLike],
    name: str,
    shape: Sequence[int | str],
    weights: str,
) -> NDArray[Any]:
    """Take one array out of ``given``, checked and copied."""
    if name not in given:
        raise UsageError(operation, f"{name} must be given, found {_names(given)}")
    array = _as_array(operation, given.pop(name), name)
    check_shape(operation, name, array, shape)
    if array.dtype.kind != "f":
        raise UsageError(operation, f"{name} must hold floating-point numbers, found {array.dtype}")
    copied = np.array(array, dtype="float64" if weights == "float64" else "float32", order="C")
    narrow = weights in ("bfloat16", "int8") and "weight" in name
    if narrow and not np.isfinite(copied).all():
        raise UsageError(operation, f"{name} must be finite to be kept as {weights}")
    return copied


def _as_array(operation: str, given: ArrayLike, name: str) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except (ValueError, TypeError):
        rule = f"{name} must be an array, or rows of one length"
        raise UsageError(operation, f"{rule}, found a {type(given).__name__}") from None
