"""What the stack task writes into ``config.json``: layers one after the other.

A user's own network, exported: an embedding or numbers in, recurrent and dense layers in any order.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any

from elman.errors import ModelError, UsageError
from elman.spec import CELLS, LayerSpec

TASK = "stack"
MAX_SIZE = 1 << 16  # of any dimension but the number of tokens
MAX_TOKENS = 1 << 20
MAX_LAYERS = 64
MAX_ORDER = 64


@dataclass(frozen=True, slots=True)
class Embedding:
    """Row ``id`` of a table: the first layer, if at all."""

    tokens: int
    size: int


@dataclass(frozen=True, slots=True)
class Dense:
    """``y = W x + b``. ``tie``: ``W`` is the embedding's table."""

    inputs: int
    outputs: int
    bias: bool
    tie: bool = False


@dataclass(frozen=True, slots=True)
class Recurrent:
    """A recurrent layer in one direction; ``zoneout`` has one number a base state."""

    layer: LayerSpec
    zoneout: tuple[float, ...]

    @property
    def inputs(self) -> int:
        """The number of inputs."""
        return self.layer.input_size

    @property
    def outputs(self) -> int:
        """The size of ``h``."""
        return self.layer.output_size


@dataclass(frozen=True, slots=True)
class StackSpec:
    """Layers, each of which takes what the one before gives; one at least is recurrent."""

    embedding: Embedding | None
    layers: tuple[Dense | Recurrent, ...]

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor of the folder: ``embedding.weight``, ``layers.0. ..``."""
        shapes: dict[str, tuple[int, ...]] = {}
        if self.embedding is not None:
            shapes["embedding.weight"] = (self.embedding.tokens, self.embedding.size)
        for number, layer in enumerate(self.layers):
            for name, shape in _shapes(layer).items():
                shapes[f"layers.{number}.{name}"] = shape
        return shapes

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``config.json``."""
        embedding = None if self.embedding is None else asdict(self.embedding)
        return {"embedding": embedding, "layers": [_plain(layer) for layer in self.layers]}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "StackSpec":
        """Inverse of :meth:`to_json`; ModelError for anything that it would not have written."""
        values = _members(values, {"embedding", "layers"}, "spec")
        embedding, below = None, None
        if values["embedding"] is not None:
            embedding = _embedding(values["embedding"])
            below = embedding.size
        given = values["layers"]
        if not isinstance(given, list) or not 1 <= len(given) <= MAX_LAYERS:
            raise _refuse(f"layers must be a list of 1 to {MAX_LAYERS}")
        layers: list[Dense | Recurrent] = []
        for number, each in enumerate(given):
            layer = _layer(each, f"layer {number}")
            if below is not None and layer.inputs != below:
                raise _refuse(f"layer {number} must have {below} inputs, found {layer.inputs}")
            if isinstance(layer, Dense) and layer.tie:
                _check_tie(layer, embedding, number)
            layers.append(layer)
            below = layer.outputs
        if not any(isinstance(layer, Recurrent) for layer in layers):
            raise _refuse("a layer must be recurrent, found none")
        return cls(embedding, tuple(layers))


def _shapes(layer: Dense | Recurrent) -> dict[str, tuple[int, ...]]:
    if isinstance(layer, Recurrent):
        return layer.layer.parameter_shapes
    shapes: dict[str, tuple[int, ...]] = {}
    if not layer.tie:
        shapes["weight"] = (layer.outputs, layer.inputs)
    return shapes | ({"bias": (layer.outputs,)} if layer.bias else {})


def _plain(layer: Dense | Recurrent) -> dict[str, Any]:
    if isinstance(layer, Dense):
        return {"kind": "dense", **asdict(layer)}
    return {"kind": "recurrent", **asdict(layer.layer), "zoneout": list(layer.zoneout)}


def _embedding(values: object) -> Embedding:
    held = _members(values, {"tokens", "size"}, "embedding")
    tokens = _number(held["tokens"], "embedding tokens", MAX_TOKENS)
    return Embedding(tokens, _number(held["size"], "embedding size", MAX_SIZE))


def _layer(values: object, name: str) -> Dense | Recurrent:
    kind = values.get("kind") if isinstance(values, dict) else None
    if kind == "dense":
        held = _members(values, {"kind", *(f.name for f in fields(Dense))}, name)
        return Dense(
            _number(held["inputs"], f"{name} inputs", MAX_SIZE),
            _number(held["outputs"], f"{name} outputs", MAX_TOKENS),
            _truth(held["bias"], f"{name} bias"),
            _truth(held["tie"], f"{name} tie"),
        )
    if kind == "recurrent":
        own = [f.name for f in fields(LayerSpec)]
        held = _members(values, {"kind", "zoneout", *own}, name)
        return _recurrent({f: held[f] for f in own}, held["zoneout"], name)
    raise _refuse(f'{name} must have "kind": "dense" or "recurrent"')


def _recurrent(values: dict[str, Any], zoneout: object, name: str) -> Recurrent:
    defaults = asdict(LayerSpec("lstm", 1, 1))
    for option, value in values.items():
        if type(value) is not type(defaults[option]):
            raise _refuse(f"{name}: {option} must be a {type(defaults[option]).__name__}")
        if type(value) is int:
            least = 0 if option == "proj_size" else 1
            most = MAX_ORDER if option == "order" else MAX_SIZE
            _number(value, f"{name} {option}", most, least)
    try:
        layer = LayerSpec(**values)
    except UsageError as error:
        raise _refuse(f"{name}: {error.message}") from None
    states = len(CELLS[layer.cell].states)
    rates = zoneout if isinstance(zoneout, list) else []
    if len(rates) != states or not all(type(r) in (int, float) and 0 <= r <= 1 for r in rates):
        raise _refuse(f"{name}: zoneout must be {states} numbers from 0 to 1")
    return Recurrent(layer, tuple(float(rate) for rate in rates))


def _check_tie(layer: Dense, embedding: Embedding | None, number: int) -> None:
    if embedding is None or (layer.outputs, layer.inputs) != (embedding.tokens, embedding.size):
        raise _refuse(f"layer {number} is tied, but not of the shape of an embedding")


def _members(values: object, names: set[str], where: str) -> dict[str, Any]:
    if not isinstance(values, dict) or values.keys() != names:
        raise _refuse(f"{where} must be an object of {', '.join(sorted(names))}")
    return values


def _number(value: object, name: str, most: int, least: int = 1) -> int:
    if type(value) is not int or not least <= value <= most:
        raise _refuse(f"{name} must be an integer from {least} to {most}")
    return value


def _truth(value: object, name: str) -> bool:
    if type(value) is not bool:
        raise _refuse(f"{name} must be true or false")
    return value


def _refuse(rule: str) -> ModelError:
    return ModelError("load model", f"config.json: {rule}; take the folder from elman.nn.export")
