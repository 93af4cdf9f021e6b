"""A server's side of the page, in the test's own hand: exact answers, and faults when asked.

It speaks the same messages as ``elman serve`` from within Playwright, so that a test can cut the
line, refuse, or be slow at the very moment it wants to. What the page does with the real server
is in ``test_served.py``.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Route, WebSocketRoute

import elman
from elman.server.files import TYPES
from elman.server.guard import POLICY

FILES = Path(elman.__file__).parent / "server" / "page"
HIDDEN = 7
WORDS = ["the", "theatre", "thesis", "king", "kingdom", "queen", "and", "été", "日本"]
MODEL = {
    "name": "small",
    "task": "text",
    "cell": "lstm",
    "hidden": HIDDEN,
    "layers": 1,
    "level": "character",
    "parameters": 12345,
}


class _Files(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        file = FILES / ("index.html" if path == "/" else path.removeprefix("/page/"))
        body = file.read_bytes() if file.is_file() else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", TYPES.get(file.suffix, "text/plain"))
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *about: Any) -> None:
        pass


@cache
def origin() -> str:
    """Where the page's files are served, until the tests end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def nats(character: str) -> float:
    """How surprising the made-up network finds a character: from 0 to 6.9, by its code point."""
    return ord(character) % 70 / 10


def column(index: int, character: str) -> list[int]:
    """Its hidden state after a character: unit k swings k times as fast as unit 1."""
    return [(ord(character) * (unit + 1) + 31 * index) % 255 - 127 for unit in range(HIDDEN)]


@dataclass
class Peer:
    """All sessions of one made-up server, and what it was told."""

    sessions: dict[str, tuple[str, int]] = field(default_factory=dict)  # id -> text, number
    heard: list[dict[str, Any]] = field(default_factory=list)
    sockets: list[WebSocketRoute] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=lambda: [MODEL])
    silent: bool = False  # takes edits and says nothing
    on_connect: Callable[[WebSocketRoute], None] | None = None  # instead of serving
    status: int = 200  # of /v1/models

    def attach(self, context: BrowserContext) -> None:
        """Answer all that pages of ``context`` ask of a server but the page itself."""
        context.route("**/v1/models", self._list)
        context.route_web_socket("**/v1/session", self._connect)

    def edits(self) -> list[dict[str, Any]]:
        """The edits heard so far."""
        return [message for message in self.heard if message["type"] == "edit"]

    def text(self) -> str:
        """The text of the session opened last."""
        return list(self.sessions.values())[-1][0]

    def close(self, code: int) -> None:
        """Close the connection opened last."""
        self.sockets[-1].close(code=code)

    def _list(self, route: Route) -> None:
        body = {"models": self.models} if self.status == 200 else {"error": "[serve] no"}
        route.fulfill(status=self.status, json=body)

    def _connect(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        if self.on_connect:
            self.on_connect(socket)
            return
        session = _Session(self, socket)
        socket.on_message(lambda message: session.hear(json.loads(message)))


class _Session:
    def __init__(self, peer: Peer, socket: WebSocketRoute) -> None:
        self._peer = peer
        self._socket = socket
        self._id = ""
        self._hidden = False

    def hear(self, message: dict[str, Any]) -> None:
        self._peer.heard.append(message)
        answers = {"start": self._start, "edit": self._edit, "hidden": self._switch}
        answers[message["type"]](message)

    def _say(self, kind: str, **content: Any) -> None:
        self._socket.send(json.dumps({"type": kind, **content}))

    def _start(self, message: dict[str, Any]) -> None:
        sessions = self._peer.sessions
        asked = message.get("session")
        if asked is not None and asked not in sessions:
            self._say("error", error="[session] the session must exist, found none; start anew")
            self._socket.close(code=1008)
            return
        self._id = asked or f"session-{len(sessions) + 1}"
        text, number = sessions.setdefault(self._id, ("", 0))
        self._say(
            "started",
            session=self._id,
            model=message.get("model", self._peer.models[0]["name"]),
            text=text,
            number=number,
            hidden_size=HIDDEN,
            surprise=[nats(character) for character in text],
        )

    def _edit(self, message: dict[str, Any]) -> None:
        text, number = self._peer.sessions[self._id]
        assert message["number"] == number + 1
        assert 0 <= message["keep"] <= len(text)
        text = text[: message["keep"]] + message["insert"]
        self._peer.sessions[self._id] = text, message["number"]
        if self._peer.silent:
            return
        self._suggest(text, message["number"])
        new = [nats(character) for character in message["insert"]]
        self._say("surprise", number=message["number"], **{"from": message["keep"]}, nats=new)
        if self._hidden:
            self._show(message["keep"])

    def _suggest(self, text: str, number: int) -> None:
        begun = text.split(" ")[-1].split("\n")[-1]
        fitting = [word for word in WORDS if word.startswith(begun)] if begun else []
        offered = [{"text": word, "probability": 0.5} for word in (fitting or WORDS)[:3]]
        kinds = {"completions": offered if fitting else [], "next_words": offered}
        self._say("suggestions", number=number, **kinds)

    def _hidden_states(self, keep: int) -> list[list[int]]:
        text, _ = self._peer.sessions[self._id]
        return [column(index, text[index]) for index in range(keep, len(text))]

    def _show(self, keep: int) -> None:
        _, number = self._peer.sessions[self._id]
        self._say("hidden", number=number, **{"from": keep}, columns=self._hidden_states(keep))

    def _switch(self, message: dict[str, Any]) -> None:
        self._hidden = message["on"]
        if self._hidden:
            self._show(0)
