"""uvicorn's protocols, with what they lack against peers that are slow on purpose.

uvicorn bounds the size of a header (16 KiB here), of a message and of what it buffers of a body.
It waits for ever for a header, for the rest of a message, and for a peer to take what was sent.
"""

import asyncio
import socket
from typing import ClassVar, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from elman.server.limits import (
    EARLY,
    EARLY_ROOM,
    MAX_CONNECTIONS,
    MAX_FRAGMENTS,
    PATIENCE,
    PINGS,
    SEND_RATE,
    Bucket,
)

SEND_BUFFER = 128 << 10  # bytes that the kernel holds for a peer
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


class Timer:
    """Cuts a connection unless it is stopped in time."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to wait, unless it does already."""
        if self._handle is None:
            loop = asyncio.get_running_loop()
            self._handle = loop.call_later(PATIENCE, self._transport.abort)

    def stop(self) -> None:
        """What was awaited has come."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class Silence:
    """Cuts a connection on which nothing comes: soon, or where there is room not so soon."""

    _kept: ClassVar[set["Silence"]] = set()  # of all connections

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._loop = transport, asyncio.get_running_loop()
        self._until = self._loop.time() + EARLY
        self._kept.add(self)
        self._wait()

    def _wait(self) -> None:
        self._handle = self._loop.call_later(PATIENCE, self._look)

    def _look(self) -> None:
        if self._loop.time() < self._until and len(self._kept) <= EARLY_ROOM:
            self._wait()
        else:
            self.stop()
            self._transport.abort()

    def stop(self) -> None:
        """Something has come, or the connection has ended."""
        self._kept.discard(self)
        self._handle.cancel()


class Outflow:
    """Cuts a peer that does not take what it asked for.

    The transport says when something waits (``pause_writing``) and when nothing does any more.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        transport.set_write_buffer_limits(high=0)
        self._transport = transport
        self._handle: asyncio.TimerHandle | None = None
        self._held = 0

    def pause(self) -> None:
        """Something waits to be sent."""
        self._held = self._transport.get_write_buffer_size()
        self._handle = asyncio.get_running_loop().call_later(PATIENCE, self._look)

    def resume(self) -> None:
        """Nothing waits any more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        if self._transport.get_write_buffer_size() > self._held - PATIENCE * SEND_RATE:
            self._transport.abort()
        else:
            self.pause()


class Watched(asyncio.Protocol):
    """Tells its ``_outflow`` what the transport says."""

    _outflow: Outflow

    def pause_writing(self) -> None:
        """Something waits to be sent."""
        super().pause_writing()
        self._outflow.pause()

    def resume_writing(self) -> None:
        """Nothing waits any more."""
        super().resume_writing()
        self._outflow.resume()


class Http(Watched, H11Protocol):
    """HTTP/1.1: a header that has begun comes within :data:`PATIENCE`, an answer is taken."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; not if there are too many."""
        super().connection_made(transport)
        self._outflow, self._header = Outflow(transport), Timer(transport)
        if held := transport.get_extra_info("socket"):
            held.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.write(FULL)
            transport.close()
        self._silence = Silence(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._silence.stop()
        self._header.stop()
        self._outflow.resume()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something came."""
        self._silence.stop()
        super().data_received(data)

    def handle_events(self) -> None:
        """Whatever came; a header that has begun must end."""
        super().handle_events()
        if self.conn.their_state is h11.IDLE and (self.cycle is None or self._begun()):
            self._header.start()
        else:
            self._header.stop()

    def _begun(self) -> bool:
        return bool(self.conn.trailing_data[0])

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over."""
        self._header.stop()
        self._outflow.resume()
        super().handle_websocket_upgrade(event)


class Live(Watched, WebSocketsSansIOProtocol):
    """WebSocket: a message comes in few pieces and ends within :data:`PATIENCE`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        stream = cast(asyncio.Transport, transport)
        self._outflow, self._message = Outflow(stream), Timer(stream)
        self._fragments = 0
        self._pings = Bucket(PINGS, self.loop.time())

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._message.stop()
        self._outflow.resume()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Whatever came; a message that has begun must end."""
        super().data_received(data)
        if self._unfinished() and not self.read_paused:
            self._message.start()
        else:
            self._message.stop()

    def _unfinished(self) -> bool:
        return self._fragments > 0 or bool(self.conn.reader.buffer)

    def handle_ping(self) -> None:
        """Answered, but not any number of them: nothing else bounds how often they come."""
        if self._pings.take(self.loop.time()):
            self.transport.abort()
        else:
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """As with pings."""
        if self._pings.take(self.loop.time()):
            self.transport.abort()
        else:
            super().handle_pong(event)

    def handle_text(self, event: Frame) -> None:
        """A message, or the first piece of one."""
        super().handle_text(event)
        self._fragments = 0 if event.fin else 1

    def handle_bytes(self, event: Frame) -> None:
        """As with text."""
        super().handle_bytes(event)
        self._fragments = 0 if event.fin else 1

    def handle_cont(self, event: Frame) -> None:
        """Another piece. Empty ones count too: they would never reach the greatest size."""
        super().handle_cont(event)
        self._fragments = 0 if event.fin else self._fragments + 1
        if self._fragments > MAX_FRAGMENTS:
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        """No pong came; but one that lies behind a backlog is not missing."""
        if self.read_paused:
            self.pong_timer = self.pending_ping_payload = None
            self.schedule_ping()
        else:
            super().keepalive_timeout()
