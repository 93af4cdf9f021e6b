"""The table: what may be asked over HTTP and WebSocket. It checks, and OpenAPI is made of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elman.decode.sample import MAX_TEMPERATURE
from elman.errors import DataError
from elman.server.limits import MAX_TEXT
from elman.storage import parse_json, shown

MAX_SUGGESTIONS = 20
MAX_INTEGER = 2**53 - 1  # what every JSON reader holds exactly
REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Field:
    """One member of an object. ``low`` and ``high`` bound a number, or a string's code points."""

    kind: str  # a JSON type
    low: float = 0
    high: float = 0
    default: Any = REQUIRED
    says: str = ""

    def problem(self, value: Any) -> str:
        """What rule ``value`` breaks and what was found, or nothing."""
        if type(value) not in KINDS[self.kind]:
            return f"must be {ARTICLES[self.kind]}, found {shown(repr(value), 40)}"
        if self.kind == "boolean":
            return ""
        size, unit = (len(value), " characters") if self.kind == "string" else (value, "")
        if self.low <= size <= self.high:
            return ""
        small = isinstance(size, float) or abs(size) < 10**15
        found = f"{size:,}" if small else f"a number of {len(str(size))} digits"
        return f"must have from {self.low:,} to {self.high:,}{unit}, found {found}"

    def schema(self) -> dict[str, Any]:
        """The same as JSON Schema."""
        made: dict[str, Any] = {"type": self.kind, "description": self.says}
        names = {"string": ("minLength", "maxLength"), "boolean": ()}
        bounds = names.get(self.kind, ("minimum", "maximum"))
        made |= dict(zip(bounds, (self.low, self.high), strict=False))
        if self.default is not REQUIRED and self.default is not None:
            made["default"] = self.default
        return made


Fields = Mapping[str, Field]
KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
ARTICLES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
}

_MODEL = Field("string", 1, 200, None, "Name of a model; the first one if it is not given.")
COMPLETE: Fields = {
    "model": _MODEL,
    "text": Field("string", 0, MAX_TEXT, says="What has been typed."),
    "n": Field("integer", 1, MAX_SUGGESTIONS, 3, "How many suggestions."),
}
GENERATE: Fields = {
    "model": _MODEL,
    "prompt": Field("string", 0, MAX_TEXT, "", "Text to go on from."),
    "length": Field("integer", 1, MAX_TEXT, 500, "Characters to write."),
    "temperature": Field(
        "number", 0, MAX_TEMPERATURE, 0.8, "0 always takes the most probable; 1 is as learned."
    ),
    "top_k": Field("integer", 0, 1_000_000, 0, "Draw among the k most probable; 0 among all."),
    "top_p": Field(
        "number", 1e-6, 1, 1.0, "Draw among the most probable whose probabilities reach p."
    ),
    "seed": Field("integer", 0, MAX_INTEGER, 0, "The same seed writes the same text."),
}
MESSAGES: Mapping[str, Fields] = {
    "start": {
        "model": _MODEL,
        "session": Field("string", 1, 64, None, "A session to go on with."),
    },
    "edit": {
        "number": Field("integer", 1, MAX_INTEGER, says="One more than the edit before."),
        "keep": Field("integer", 0, MAX_TEXT, says="Code points of the text that stay."),
        "insert": Field("string", 0, MAX_TEXT, says="What comes after them."),
    },
    "hidden": {"on": Field("boolean", says="Whether to send hidden states.")},
    "reset": {},
    "end": {},
}


def check(operation: str, fields: Fields, value: Any) -> dict[str, Any]:
    """The members of ``value`` with the defaults of those that are missing.

    Raises :class:`~elman.errors.DataError` for what is no object, lacks a member, has one too
    many, or one of another type or out of bounds.
    """
    if type(value) is not dict:
        raise DataError(operation, f"must be a JSON object, found {shown(repr(value), 40)}")
    for name in value:
        if name not in fields:
            known = ", ".join(fields) or "none"
            raise DataError(operation, f"members are {known}, found {shown(repr(name), 40)}")
    checked = {}
    for name, field in fields.items():
        if name in value:
            checked[name] = value[name]
            if problem := field.problem(value[name]):
                raise DataError(operation, f"{name} {problem}")
        elif field.default is REQUIRED:
            raise DataError(operation, f"{name} must be given, found none")
        else:
            checked[name] = field.default
    return checked


def parse(operation: str, data: bytes) -> Any:
    """Strict JSON; :class:`~elman.errors.DataError` for anything else."""
    try:
        return parse_json(data)
    except ValueError as error:
        raise DataError(operation, f"must be JSON: {shown(error, 80)}") from None


def message(data: bytes) -> tuple[str, dict[str, Any]]:
    """A client's message: its type and its members. Raises :class:`~elman.errors.DataError`."""
    value = parse("session", data)
    kind = value.pop("type", None) if type(value) is dict else None
    if type(kind) is not str or kind not in MESSAGES:
        raise DataError(
            "session", f"type must be one of {', '.join(MESSAGES)}, found {shown(repr(kind), 40)}"
        )
    return kind, check(kind, MESSAGES[kind], value)
