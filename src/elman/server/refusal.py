"""What is refused: one line for the peer, with the status or the close code that says it."""

import json

from starlette.responses import JSONResponse, Response

from elman.errors import ElmanError


class RefusedError(ElmanError):
    """A request that is answered with ``status`` and the line."""

    def __init__(self, status: int, operation: str, message: str) -> None:
        super().__init__(operation, message)
        self.status = status


class ClosedError(Exception):
    """A session's end: close ``code``, and the line that is sent before it, if any."""

    ENDED, REFUSED, LATER = 1000, 1008, 1013
    IDLE, OLD, TAKEN = 4000, 4001, 4002

    def __init__(self, code: int, line: str = "") -> None:
        super().__init__(code)
        self.code, self.line = code, line


def answer(status: int, line: str) -> Response:
    """The line as JSON. The connection ends with it, for what still comes is not read."""
    headers = {"connection": "close"}
    if status in (429, 503):
        headers["retry-after"] = "1"
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse({"error": line}, status, headers)


def compact(value: object) -> str:
    """JSON as it goes over the wire."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
