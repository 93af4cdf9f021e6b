"""A server from start to stop."""

import asyncio
import gc
import logging
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import uvicorn

from elman.errors import ModelError, StorageError, UsageError
from elman.runtime import Batcher, TextModel, load
from elman.server.access import Access
from elman.server.app import application
from elman.server.limits import MAX_CONNECTIONS, MAX_MESSAGE, Limits
from elman.server.metrics import Metrics
from elman.server.protocol import Http, Live
from elman.server.record import MemoryStore, Store
from elman.server.service import Served, Service
from elman.server.workers import Workers

DRAIN = 8  # seconds for what is being answered when the server is told to stop
BACKLOG = 256  # connections accepted at a time, between which others have their turn
HEADER = 16 << 10  # bytes
GARBAGE = 20_000  # objects after which cycles are looked for, of which hardly any are made
SWITCH = 0.001  # seconds after which a computing thread lets the event loop in


def serve(
    folders: Sequence[tuple[str, Path]],
    *,
    host: str,
    hosts: Iterable[str],
    port: int,
    state: str,
    token: str | None,
    required: bool,
    limits: Limits,
    say: Callable[[str], None],
) -> None:
    """Serve the model folders, each under its name, until a signal comes.

    ``hosts``: the names it answers to. ``state``: ``memory`` or an address of Redis. ``port`` 0
    takes a free one. ``say`` gets the lines for whoever has started it. Raises
    :class:`~elman.errors.ModelError` for a folder that is no text model and
    :class:`~elman.errors.UsageError` for what cannot be served as asked.
    """
    metrics = Metrics()
    served = {name: _load(name, folder) for name, folder in folders}
    store = _store(state, limits)
    held = _listen(host, port)
    port = held.getsockname()[1]
    access = Access(hosts, port, token, required)
    service = Service(served, limits, store, Workers(limits.threads, metrics), metrics)
    _log()
    _open_files()
    sys.setswitchinterval(SWITCH)
    gc.set_threshold(GARBAGE)
    config = uvicorn.Config(
        application(service, access),
        http=Http,
        ws=Live,
        ws_max_size=MAX_MESSAGE,
        ws_per_message_deflate=False,  # a few bytes could grow to any number
        h11_max_incomplete_event_size=HEADER,
        log_config=None,
        access_log=False,
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN,
        backlog=BACKLOG,
    )
    address = f"http://{_shown(host)}:{port}/"

    def announce() -> None:
        say(f"Serving {', '.join(served)} at {address}")
        say(f"Open {address}{access.query}" + (" (works once)" if required else ""))

    try:
        asyncio.run(_Server(config, service, announce).serve([held]))
    finally:
        held.close()


class _Server(uvicorn.Server):
    """Says when it listens; tells the service that it stops before connections are to end."""

    def __init__(
        self, config: uvicorn.Config, service: Service, announce: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._service, self._announce = service, announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if not await self._service.store.ready():
            raise StorageError("serve", "--state must be a Redis that answers; start it first")
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.draining = True
        await super().shutdown(sockets)


def _load(name: str, folder: Path) -> Served:
    model = load(folder)
    if not isinstance(model, TextModel):
        raise ModelError("serve", f"{folder} must hold a text model, found task {model.task!r}")
    return Served(name, model, Batcher(model))


def _store(state: str, limits: Limits) -> Store:
    if state == "memory":
        return MemoryStore(limits.idle, 4 * limits.sessions, time.monotonic)
    if not state.startswith(("redis://", "rediss://", "unix://")):
        rule = "--state must be memory or an address redis://HOST:PORT/NUMBER"
        raise UsageError("serve", f"{rule}, found {state!r:.60}")
    from elman.server.redisstore import RedisStore

    return RedisStore(state, limits.idle)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small answers at once only where the protocol is named.
    held = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((host, port))
    except OSError as error:
        held.close()
        reason = error.strerror or str(error)
        raise UsageError(
            "serve", f"{host:.60} port {port} must be free, found: {reason}; choose another --port"
        ) from None
    return held


def _open_files() -> None:
    """As many as there may be connections, if the system lets us: often it begins with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS
    if soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return "localhost"
    return f"[{host}]" if ":" in host else host


def _log() -> None:
    """To standard error. uvicorn and websockets say what went wrong, not what was asked."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for name, level in (("elman.server", logging.INFO), ("uvicorn", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
