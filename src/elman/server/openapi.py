"""The OpenAPI document, made of the table that checks the requests."""

from typing import Any

from elman import __version__
from elman.server.limits import MAX_BODY, MAX_MESSAGE, MAX_TEXT
from elman.server.schema import COMPLETE, GENERATE, MESSAGES, REQUIRED, Fields

_SESSION = (
    "A WebSocket for live sessions: text messages of one JSON object each, of at most "
    f"{MAX_MESSAGE:,} bytes. The client's are the schemas of x-messages, the first is start."
)


def document() -> dict[str, Any]:
    """What may be asked and what is answered."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "elman",
            "version": __version__,
            "description": f"Recurrent networks at work. Bodies have at most {MAX_BODY:,} bytes.",
        },
        "security": [{"token": []}, {"cookie": []}],
        "paths": {
            "/healthz": {"get": _get("Whether requests are served.", _HEALTH) | {"security": []}},
            "/metrics": {"get": _get("Counters for Prometheus.", {"type": "string"}, "text/plain")},
            "/v1/models": {"get": _get("What is served.", _MODELS)},
            "/v1/complete": {"post": _post("Suggestions for a text.", COMPLETE, _SUGGESTIONS)},
            "/v1/generate": {
                "post": _post(
                    "Text, sent as it is written: events text, then done, or error.",
                    GENERATE,
                    {"type": "string"},
                    "text/event-stream",
                )
            },
            "/v1/session": {
                "get": {
                    "summary": _SESSION,
                    "responses": {"101": {"description": "A session."}, **_ERRORS},
                    "x-messages": {name: _message(name) for name in MESSAGES},
                }
            },
        },
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "elman-PORT"},
            },
            "schemas": {"Error": _ERROR},
        },
    }


def _object(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members)}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_STRING = {"type": "string"}
_INTEGER = {"type": "integer"}
_SUGGESTED = _list(_object(text=_STRING, probability={"type": "number", "maximum": 1}))
_SUGGESTIONS = _object(completions=_SUGGESTED, next_words=_SUGGESTED)
_HEALTH = _object(status=_STRING)
_MODELS = _object(
    models=_list(
        _object(
            name=_STRING,
            task=_STRING,
            cell=_STRING,
            hidden=_INTEGER,
            layers=_INTEGER,
            level=_STRING,
            parameters=_INTEGER,
        )
    )
)
_ERROR = _object(error={"type": "string", "description": "[operation] rule, found, remedy"})
_REFERENCE = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
_ERRORS = {
    status: {"description": says, "content": _REFERENCE}
    for status, says in {
        "400": f"Not as the schema says; texts have at most {MAX_TEXT:,} characters.",
        "401": "No token.",
        "403": "A foreign Host or Origin.",
        "404": "No such model.",
        "408": "The body did not come at once.",
        "413": "The body is too large.",
        "415": "The body is not application/json.",
        "429": "More requests a second than are served.",
        "503": "As many are served as can be; later.",
    }.items()
}


def _get(summary: str, schema: dict[str, Any], media: str = "application/json") -> dict[str, Any]:
    answer = {"description": "As asked.", "content": {media: {"schema": schema}}}
    return {"summary": summary, "responses": {"200": answer, **_ERRORS}}


def _post(
    summary: str, fields: Fields, schema: dict[str, Any], media: str = "application/json"
) -> dict[str, Any]:
    body = {"required": True, "content": {"application/json": {"schema": _members(fields)}}}
    return _get(summary, schema, media) | {"requestBody": body}


def _members(fields: Fields) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: field.schema() for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.default is REQUIRED],
        "additionalProperties": False,
    }


def _message(name: str) -> dict[str, Any]:
    made = _members(MESSAGES[name])
    made["properties"] = {"type": {"const": name}, **made["properties"]}
    made["required"].insert(0, "type")
    return made
