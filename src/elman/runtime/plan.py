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
class Plan:
    """A stack of layers of one kind: what :class:`~elman.runtime.stream.Stream` runs."""

    specs: tuple[LayerSpec, ...]
    parameters: tuple[dict[str, NDArray[Any]], ...]  # one dict a layer, names without the suffix
    weights: str
    keep: tuple[float, ...]  # zoneout, one a base state

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
    proj_size: int,
    **options: Any,
) -> Plan:
    """Check names, shapes and options; see :meth:`elman.runtime.stream.Stream.from_weights`."""
    check_choice(operation, "cell", cell, CELLS)
    check_choice(operation, "weights", weights, FORMATS)
    if proj_size:
        raise UsageError(operation, f"proj_size is not available here, found {proj_size!r}")
    keep = _keep(operation, cell, zoneout)
    given = dict(arrays)
    specs: list[LayerSpec] = []
    parameters = []
    while not specs or "weight_ih" + suffix(len(specs)) in given:
        end = suffix(len(specs))
        spec = _spec(operation, cell, given, end, options)
        if specs and spec.input_size != specs[-1].output_size:
            rule = f"weight_ih{end} must have {specs[-1].output_size} columns, as many as the layer"
            raise UsageError(operation, f"{rule} below gives, found {spec.input_size}")
        specs.append(spec)
        parameters.append(_parameters(operation, spec, given, end, weights))
    if given:
        expected = ", ".join(specs[0].parameter_shapes)
        rule = f"names must be {expected} with _l0, _l1 ..; remove it or set its option"
        raise UsageError(operation, f"{rule}, found {str(next(iter(given)))[:60]!r}")
    return Plan(tuple(specs), tuple(parameters), weights, keep)


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
    weight_ih = np.asarray(given["weight_ih" + end])
    check_shape(operation, "weight_ih" + end, weight_ih, ("G*H", "D"))
    rows, inputs = weight_ih.shape
    gates = len(CELLS[cell].gates)
    if rows % gates:
        rule = f"weight_ih{end} must have {gates} rows a hidden unit"
        raise UsageError(operation, f"{rule} for the {cell} cell, found {rows}")
    return LayerSpec(cell, inputs, rows // gates, bias="bias_ih" + end in given, **options)


def _names(given: Mapping[str, ArrayLike]) -> str:
    names = [str(name)[:40] for name in given]
    return ", ".join(names[:6]) + (" .." if len(names) > 6 else "") if names else "nothing"


def _parameters(
    operation: str, spec: LayerSpec, given: dict[str, ArrayLike], end: str, weights: str
) -> dict[str, NDArray[Any]]:
    """Take one layer's parameters out of ``given``."""
    found = {}
    dtype, int8 = "float64" if weights == "float64" else "float32", weights == "int8"
    for name, shape in spec.parameter_shapes.items():
        if name + end not in given:
            raise UsageError(operation, f"{name}{end} must be given, found {_names(given)}")
        array = np.asarray(given.pop(name + end))
        check_shape(operation, name + end, array, shape)
        if array.dtype.kind != "f":
            rule = f"{name}{end} must hold floating-point numbers"
            raise UsageError(operation, f"{rule}, found {array.dtype}")
        if int8 and name.startswith("weight") and not np.isfinite(array).all():
            raise UsageError(operation, f"{name}{end} must be finite to be kept as int8")
        found[name] = np.array(array, dtype=dtype, order="C")
    return found
