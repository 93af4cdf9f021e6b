"""The application: which path is answered by whom."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.routing import BaseRoute, Route, Router, WebSocketRoute

from elman.server import endpoints
from elman.server.access import Access
from elman.server.files import Files
from elman.server.guard import Guard
from elman.server.live import live
from elman.server.service import Service


def routes() -> list[BaseRoute]:
    """Every path there is."""
    files = Files()
    return [
        Route("/", files.index),
        Route("/page/{name:path}", files.file),
        Route("/healthz", endpoints.health),
        Route("/metrics", endpoints.metrics),
        Route("/openapi.json", endpoints.openapi),
        Route("/v1/models", endpoints.models),
        Route("/v1/complete", endpoints.complete, methods=["POST"]),
        Route("/v1/generate", endpoints.generate, methods=["POST"]),
        WebSocketRoute("/v1/session", live),
    ]


def application(service: Service, access: Access) -> Guard:
    """All of it, as an ASGI application; ``service`` is closed when it ends."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, Service]]:
        yield {"service": service}
        service.workers.close()
        await service.store.close()

    router = Router(routes(), redirect_slashes=False, lifespan=lifespan)
    return Guard(router, access, service.limits.rate, service.metrics)
