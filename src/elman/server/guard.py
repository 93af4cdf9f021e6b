"""What stands before every request: access, bounds, headers, and a log without what is typed."""

import asyncio
import logging
import time
import traceback
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from elman.errors import ElmanError
from elman.server.access import Access
from elman.server.limits import MAX_BODY, PATIENCE, RECEIVE_RATE, Bucket
from elman.server.metrics import Metrics
from elman.server.refusal import RefusedError, answer

log = logging.getLogger("elman.server")

POLICY = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
ENCODED = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
MAX_ADDRESSES = 10_000


class Guard:
    """An ASGI application around ``app``: lets through what may pass, answers the rest."""

    def __init__(self, app: ASGIApp, access: Access, rate: int, metrics: Metrics) -> None:
        self._app, self._access, self._rate, self._metrics = app, access, rate, metrics
        self._buckets: dict[str, Bucket] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope["app"] = self  # so that the router raises what it does not find
        begun, reply = time.monotonic(), _Reply(send)
        try:
            response = self._admit(scope)
            if response is not None:
                await response(scope, receive, reply)
            else:
                body = receive if scope["type"] == "websocket" else _Body(scope, receive)
                await self._app(scope, body, reply)
        except (ClientDisconnect, WebSocketDisconnect):
            pass  # there is nobody to tell
        except Exception as error:
            self._metrics.refused.labels(_reason(error)).inc()
            response = _response(error)
            if not reply.begun:
                await _refuse(response, scope, receive, reply)
        finally:
            _record(scope, reply.status, time.monotonic() - begun)

    def _admit(self, scope: Scope) -> Response | None:
        """An answer at once, or None: go on. Raises :class:`RefusedError`."""
        if scope["type"] == "http" and (response := self._access.exchange(scope)):
            return response
        self._access.check(scope)
        if scope["path"].startswith("/v1/"):
            self._check_rate(scope)
        return None

    def _check_rate(self, scope: Scope) -> None:
        address, now = (scope.get("client") or ("",))[0], time.monotonic()
        if len(self._buckets) >= MAX_ADDRESSES:
            self._buckets.clear()
        bucket = self._buckets.setdefault(address, Bucket(self._rate, now))
        if bucket.take(now):
            raise RefusedError(
                429, "access", f"at most {self._rate} requests a second are served; ask slower"
            )


class _Reply:
    """Sends, adds the headers, and remembers the status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun, self.status = False, 0

    async def __call__(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.begun, self.status = True, message["status"]
            given = [(name.lower(), value) for name, value in message.get("headers", [])]
            names = {name for name, _ in given}
            message["headers"] = given + [each for each in ENCODED if each[0] not in names]
        elif message["type"] == "websocket.accept":
            self.begun, self.status = True, 101
        elif message["type"] == "websocket.close":
            self.status = message.get("code", 1000) if self.begun else 403
            self.begun = True
        await self._send(message)


class _Body:
    """Receives a body of bounded size that comes at a bearable rate."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._left, self._deadline = MAX_BODY, time.monotonic() + PATIENCE
        self._whole = False
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > MAX_BODY:
                raise _TOO_LARGE

    async def __call__(self) -> Message:
        if self._whole:  # what comes now is that the peer has gone
            return await self._receive()
        try:
            async with asyncio.timeout(max(0, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise _TOO_SLOW from None
        size = len(message.get("body", b""))
        self._left -= size
        self._deadline += size / RECEIVE_RATE
        self._whole = not message.get("more_body", False)
        if self._left < 0:
            raise _TOO_LARGE
        return message


_TOO_LARGE = RefusedError(413, "request", f"a body must have at most {MAX_BODY:,} bytes; send less")
_TOO_SLOW = RefusedError(408, "request", "a body must come at once; send it in one piece")


async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await response(scope, receive, send)
        return
    # Before a WebSocket is accepted: the answer to its handshake.
    headers = [(n, v) for n, v in response.raw_headers if n != b"connection"]
    start = {"type": "websocket.http.response.start", "status": response.status_code}
    await send({**start, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": response.body})


def _response(error: Exception) -> Response:
    if isinstance(error, RefusedError):
        return answer(error.status, str(error))
    if isinstance(error, ElmanError):
        return answer(400, str(error))
    if isinstance(error, HTTPException):
        return answer(error.status_code, f"[request] {error.detail}; see /openapi.json")
    # Where, but not what: an exception's text may quote what somebody typed.
    where = traceback.extract_tb(error.__traceback__)[-1]
    log.error("%s at %s:%s", type(error).__name__, where.filename, where.lineno)
    return answer(500, "[request] the server has a fault; its log says where")


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPException):
        return str(error.status_code)
    return str(error.status) if isinstance(error, RefusedError) else type(error).__name__


def _record(scope: Scope, status: int, seconds: float) -> None:
    """One line a request. Of the path only what this server knows, never the query."""
    peer = (scope.get("client") or ("-",))[0]
    route: Any = scope.get("route")
    path = getattr(route, "path", "-")
    method = scope.get("method", "WebSocket")
    log.info("%s %s %s %s %.0f ms", peer, method, path, status or "gone", 1000 * seconds)
