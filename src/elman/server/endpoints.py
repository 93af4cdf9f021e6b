"""HTTP: completions, text that streams, and what there is to know."""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from elman.decode.suggest import Suggestions
from elman.errors import ElmanError
from elman.server import schema
from elman.server.metrics import CONTENT_TYPE
from elman.server.openapi import document
from elman.server.refusal import RefusedError, compact
from elman.server.service import Served, Service
from elman.server.session import plain, slices
from elman.server.workers import Turns

TURN = 0.02  # seconds for which one answer is written at a time


async def health(request: Request) -> Response:
    """Whether requests are served: 200, or 503 while the server stops or cannot keep sessions."""
    service = _service(request)
    if service.draining or not await service.store.ready():
        return JSONResponse({"status": "stopping" if service.draining else "no store"}, 503)
    return JSONResponse({"status": "ok"})


async def metrics(request: Request) -> Response:
    """The counters."""
    return Response(_service(request).metrics.text(), headers={"content-type": CONTENT_TYPE})


async def openapi(request: Request) -> Response:
    """What may be asked, for programs."""
    return JSONResponse(document())


async def models(request: Request) -> Response:
    """What is served."""
    served = _service(request).models.values()
    return JSONResponse({"models": [each.facts() for each in served]})


async def complete(request: Request) -> Response:
    """Suggestions for a text."""
    service = _service(request)
    asked = await _asked(request, "complete", schema.COMPLETE)
    job = _completion(service.model(asked["model"]), asked["text"], asked["n"])
    with service.request():
        return JSONResponse(plain(await service.workers.finish(job)))


async def generate(request: Request) -> Response:
    """Text that is sent as it is written."""
    service = _service(request)
    asked = await _asked(request, "generate", schema.GENERATE)
    served = service.model(asked.pop("model"))
    return _Events(service, _writing(served, **asked))


class _Events(StreamingResponse):
    """What a job writes, as server-sent events."""

    def __init__(self, service: Service, job: Iterator[str]) -> None:
        super().__init__(self._events(job), media_type="text/event-stream")
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._service.request():
            await super().__call__(scope, receive, send)

    async def _events(self, job: Iterator[str]) -> AsyncIterator[str]:
        characters = 0
        try:
            async for text in self._service.workers.run(job):
                if text:
                    characters += len(text)
                    self._service.metrics.characters.labels("written").inc(len(text))
                    yield _event("text", {"text": text})
                if self._service.draining:
                    raise RefusedError(503, "generate", "the server is stopping; try again soon")
            yield _event("done", {"characters": characters})
        except ElmanError as error:
            yield _event("error", {"error": str(error)})


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {compact(data)}\n\n"


def _completion(served: Served, text: str, n: int) -> Turns[Suggestions]:
    stream = served.model.stream(batcher=served.batcher)
    yield from slices(text, stream.feed)
    return (yield from stream.suggesting(n))


def _writing(served: Served, prompt: str, **options: Any) -> Iterator[str]:
    """Text in pieces of a turn each, the first one at once; empty ones while the prompt is read."""
    stream = served.model.stream(batcher=served.batcher)
    for _ in slices(prompt, stream.feed):
        yield ""
    written, turn = "", time.monotonic()
    for piece in stream.generate(**options):
        written += piece
        if time.monotonic() - turn >= TURN:
            yield written
            written, turn = "", time.monotonic()
    yield written


async def _asked(request: Request, operation: str, fields: schema.Fields) -> dict[str, Any]:
    """The body, checked. A page of another site cannot say application/json unasked."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RefusedError(415, operation, "Content-Type must be application/json")
    body = await request.body()
    return schema.check(operation, fields, schema.parse(operation, body))


def _service(request: Request) -> Service:
    service: Service = request.state.service
    return service
