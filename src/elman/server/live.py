"""``/v1/session``: a session over a WebSocket.

One task reads messages into the inbox; when it is full the socket is not read, and the sender
waits. The other takes all that lies there at once: every edit is read, the newest gets
suggestions. What is told to the client was kept in the store before.
"""

import asyncio
import secrets
import time
from collections import deque
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from elman.errors import DataError, ElmanError, StorageError
from elman.server import schema
from elman.server.limits import PATIENCE, Bucket
from elman.server.record import Record
from elman.server.refusal import ClosedError, RefusedError, compact
from elman.server.service import Service
from elman.server.session import Message, Session
from elman.server.workers import Turns

INBOX = 64  # messages
Received = tuple[str, dict[str, Any], float]  # its type, its members, when it came


async def live(socket: WebSocket) -> None:
    """Serve one socket until it ends or is ended."""
    service: Service = socket.state.service
    await socket.accept()
    code = 1006
    try:
        with service.session():
            await Conversation(socket, service).run()
    except RefusedError as refusal:
        code = ClosedError.LATER if refusal.status == 503 else ClosedError.REFUSED
        await _close(socket, ClosedError(code, str(refusal)))
    except StorageError as error:
        code = ClosedError.LATER
        await _close(socket, ClosedError(code, str(error)))
    except ElmanError as error:
        code = ClosedError.REFUSED
        await _close(socket, ClosedError(code, str(error)))
    except ClosedError as closing:
        code = closing.code
        await _close(socket, closing)
    except WebSocketDisconnect as gone:
        code = gone.code
    finally:
        service.metrics.closed.labels(str(code)).inc()


async def _close(socket: WebSocket, closing: ClosedError) -> None:
    try:
        if closing.line:
            await socket.send_text(compact({"type": "error", "error": closing.line}))
        await socket.close(closing.code)
    except (WebSocketDisconnect, RuntimeError):
        pass  # it has gone already


class Inbox:
    """Messages that wait, at most :data:`INBOX`, and then what ends them."""

    def __init__(self) -> None:
        self._held: deque[Received] = deque()
        self._end: Exception | None = None
        self._news, self._room = asyncio.Event(), asyncio.Event()

    async def put(self, message: Received) -> None:
        """Add a message, as soon as there is room."""
        while len(self._held) >= INBOX:
            self._room.clear()
            await self._room.wait()
        self._held.append(message)
        self._news.set()

    def end(self, why: Exception, at_once: bool = False) -> None:
        """Raise ``why`` from :meth:`take`: after what is there, or instead."""
        self._end = self._end or why
        if at_once:
            self._held.clear()
        self._news.set()

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._held and self._end is None

    def more(self) -> list[Received]:
        """All that waits, if anything does; for any thread."""
        held = []
        with suppress(IndexError):
            while True:
                held.append(self._held.popleft())
        return held

    async def take(self, seconds: float) -> list[Received]:
        """All that waits; raises ``TimeoutError`` if for so long nothing comes."""
        self._room.set()
        async with asyncio.timeout(seconds):
            while not self._held and self._end is None:
                self._news.clear()
                await self._news.wait()
        held = self.more()
        if not held and self._end is not None:
            raise self._end
        self._room.set()
        return held


class Conversation:
    """One client on one socket."""

    def __init__(self, socket: WebSocket, service: Service) -> None:
        self._socket, self._service = socket, service
        self._inbox = Inbox()
        self._bucket = Bucket(service.limits.rate, time.monotonic())
        self._owner = secrets.token_urlsafe(16)
        self._id = ""
        self._session: Session

    async def run(self) -> None:
        """From the first message to the last. Ends by raising what ended it."""
        reader = asyncio.create_task(self._read())
        try:
            await self._start()
            while True:
                await self._answer(await self._next())
        finally:
            reader.cancel()
            if self._service.live.get(self._id) == self._take_over:
                del self._service.live[self._id]

    async def _read(self) -> None:
        try:
            while True:
                received = await self._socket.receive()
                if received["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(received.get("code", 1006))
                if wait := self._bucket.take(time.monotonic()):
                    await asyncio.sleep(wait)
                    self._bucket.take(time.monotonic())
                data = received.get("text")
                if data is None:
                    raise DataError("session", "messages must be text, found bytes")
                await self._inbox.put((*schema.message(data.encode()), time.monotonic()))
        except Exception as end:
            self._inbox.end(end)

    async def _start(self) -> None:
        try:
            [(kind, members, _), *rest] = await self._inbox.take(PATIENCE)
        except TimeoutError:
            line = "[session] the first message must come at once, found none"
            raise ClosedError(ClosedError.REFUSED, line) from None
        if kind != "start":
            raise DataError("session", f"the first message must be start, found {kind}")
        how = "new"
        if record := await self._kept(members["session"]):
            how, self._id = "continued", members["session"]
            self._session = await self._service.workers.call(lambda: self._restore(record))
        else:
            self._id = secrets.token_urlsafe(16)
            served = self._service.model(members["model"])
            self._session = await self._service.workers.call(
                lambda: Session(served.name, served.model, served.batcher)
            )
            await self._keep()
        if end := self._service.live.get(self._id):
            end()
        self._service.live[self._id] = self._take_over
        self._service.metrics.opened.labels(how).inc()
        await self._send(self._session.started(self._id))
        if rest:
            await self._answer(rest)

    async def _kept(self, session: str | None) -> Record | None:
        return await self._service.store.take(session, self._owner) if session else None

    def _restore(self, record: Record) -> Session:
        served = self._service.model(record.model)
        return Session.restored(record, served.model, served.batcher)

    def _take_over(self) -> None:
        """Somebody has opened the session elsewhere: the newest socket has it."""
        line = "[session] the session goes on in another window"
        self._inbox.end(ClosedError(ClosedError.TAKEN, line), at_once=True)

    async def _next(self) -> list[Received]:
        """What has come; while nothing comes, the hidden states that the client lacks."""
        while self._session.behind and self._inbox.empty:
            await self._send(await self._service.workers.finish(self._session.columns()))
        limits = self._service.limits
        left = self._session.began + limits.lifetime - time.time()
        code = ClosedError.IDLE if limits.idle <= left else ClosedError.OLD
        try:
            return await self._inbox.take(max(0.0, min(limits.idle, left)))
        except TimeoutError:
            await self._service.store.remove(self._id, self._owner)
            line = "rests, as nothing came" if code == ClosedError.IDLE else "has lived its time"
            raise ClosedError(code, f"[session] the session {line}; begin another") from None

    async def _answer(self, received: list[Received]) -> None:
        answers = await self._service.workers.finish(self._work(received))
        if any(kind in ("edit", "reset") for kind, _, _ in received):
            await self._keep()
        for message in answers:
            await self._send(message)
        self._measure(received)
        if any(kind == "end" for kind, _, _ in received):
            await self._service.store.remove(self._id, self._owner)
            raise ClosedError(ClosedError.ENDED)

    def _work(self, received: list[Received]) -> Turns[list[Message]]:
        """Do as all messages say; returns the answers, suggestions for the newest edit last.

        What came while these waited for a thread is ``received`` too.
        """
        session, edited = self._session, False
        received += self._inbox.more()
        answers: list[Message] = []
        for kind, members, _ in received:
            if kind == "edit":
                edited = True
                answers.append((yield from session.edit(**members)))
            elif kind == "hidden":
                session.watch(members["on"])
            elif kind == "reset":
                session.reset()
            elif kind == "end":
                return answers
            else:
                raise DataError("session", "start must be the first message, found another")
        return [*answers, (yield from session.suggestions())] if edited else answers

    def _measure(self, received: list[Received]) -> None:
        edits = [(members, came) for kind, members, came in received if kind == "edit"]
        if edits:
            metrics = self._service.metrics
            metrics.edits.inc(len(edits))
            metrics.skipped.inc(len(edits) - 1)
            metrics.characters.labels("read").inc(sum(len(m["insert"]) for m, _ in edits))
            metrics.answered.observe(time.monotonic() - edits[-1][1])

    async def _keep(self) -> None:
        record = self._session.record()
        if not await self._service.store.save(self._id, self._owner, record):
            raise ClosedError(ClosedError.TAKEN, "[session] the session goes on in another window")

    async def _send(self, message: Message) -> None:
        try:
            await self._socket.send_text(compact(message))
        except RuntimeError:  # it was closed in between
            raise WebSocketDisconnect(1006) from None
