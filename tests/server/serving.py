"""Servers that run as processes of their own, clients that type, and what they should be told."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from elman.encode.text import build
from elman.modelfile import write
from elman.modelfile.text import TextModelSpec

TOKEN = "a-token-for-the-tests-only"
BUSY = "all threads are busy"  # a machine that does other work
LETTERS = "abcdefghijklmnopqrstuvwxyzABC .,'\nеёж漢字é😀"


def write_model(path: Path, seed: int, hidden: int = 37) -> Path:
    spec = TextModelSpec(cell="lstm", hidden=hidden, embedding=9)
    vocabulary = build("character", [LETTERS])
    rng = np.random.default_rng(seed)
    tensors = {
        name: rng.normal(0, 0.5, shape).astype("float32")
        for name, shape in spec.tensor_shapes(len(vocabulary)).items()
    }
    write(
        path,
        task="text",
        spec=spec.to_json(),
        tensors=tensors,
        tokenizer=vocabulary.to_json(),
        readme="",
    )
    return path


class Server:
    """``elman serve`` in a process."""

    def __init__(self, folder, *options, token=TOKEN, environment=None):
        words = ["serve", folder, "--port", 0, *(["--token", token] if token else []), *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "elman", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | (environment or {}),
        )
        self.token, self.said, self.log = token, [], []
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()
        for line in self.process.stdout:
            self.said.append(line.strip())
            if line.startswith("Open "):
                break
        else:
            self.close()
            raise AssertionError(f"the server did not start: {''.join(self.log)}")
        self.once = self.said[-1].split()[1]
        self.port = int(self.once.split(":")[2].split("/")[0])

    def _drain(self):
        self.log.extend(self.process.stderr)

    def ask(self, method, path, body=None, headers=None, token=True, timeout=20):
        """One request and its whole answer, with ``.data``; again while all threads are busy."""
        for _ in range(50):
            answer = self._ask(method, path, body, headers, token, timeout)
            if BUSY not in answer.data.decode():
                break
            time.sleep(0.2)
        return answer

    def _ask(self, method, path, body, headers, token, timeout):
        sent = {"Authorization": f"Bearer {self.token}"} if token and self.token else {}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        connection.request(method, path, body, sent | (headers or {}))
        answer = connection.getresponse()
        answer.data = answer.read()
        connection.close()
        return answer

    def json(self, method, path, body=None, **options):
        answer = self.ask(method, path, body, **options)
        return answer.status, json.loads(answer.data)

    def session(self, **start):
        """A live session that has started; tried again while all threads are busy."""
        for _ in range(50):
            live = Live(self, start)
            if BUSY not in live.started.get("error", ""):
                break
            time.sleep(0.2)
        return live

    def socket(self, headers=None, **options):
        """A WebSocket on which nothing was said."""
        sent = {"Authorization": f"Bearer {self.token}"} if headers is None else headers
        address = f"ws://127.0.0.1:{self.port}/v1/session"
        options = {"compression": None, "max_size": 1 << 24} | options
        return connect(address, additional_headers=sent, **options)

    def raw(self, data=b""):
        """A TCP connection, and what was sent on it."""
        held = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        held.sendall(data)
        return held

    @property
    def rss(self):
        """Bytes of memory that the process has, and the most it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        sizes = {
            line.split(":")[0]: line.split()[1] for line in status.splitlines() if "kB" in line
        }
        return int(sizes["VmRSS"]) << 10, int(sizes["VmHWM"]) << 10

    def metric(self, name):
        """The sum of a counter or gauge over its labels."""
        text = self.ask("GET", "/metrics").data.decode()
        rows = [row.split() for row in text.splitlines() if not row.startswith("#")]
        return sum(float(value) for key, value in rows if key.split("{")[0] == name)

    def stop(self, how=signal.SIGTERM, timeout=15):
        """Send a signal; return the exit code and the seconds it took."""
        begun = time.monotonic()
        self.process.send_signal(how)
        return self.process.wait(timeout), time.monotonic() - begun

    def close(self):
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        self.process.stdout.close()
        self.process.stderr.close()


class Live:
    """A client that types."""

    def __init__(self, server, start):
        self.socket = server.socket().__enter__()  # as long as the test wants
        with suppress(ConnectionClosed):  # it was refused at once
            self.send(type="start", **start)
        self.started = self.receive()
        self.id, self.number = self.started.get("session"), self.started.get("number", 0)
        self.text = self.started.get("text", "")

    def send(self, **message):
        self.socket.send(json.dumps(message))

    def receive(self, timeout=20):
        return json.loads(self.socket.recv(timeout))

    def edit(self, keep, insert):
        """Send an edit; do not wait for its answer."""
        self.number += 1
        self.text = self.text[:keep] + insert
        self.send(type="edit", number=self.number, keep=keep, insert=insert)

    def type(self, insert):
        self.edit(len(self.text), insert)

    def until(self, kind, number=None):
        """The next message of a kind, about edit ``number`` if given, and all before it."""
        passed = []
        while True:
            passed.append(message := self.receive())
            if message["type"] == kind and number in (None, message.get("number")):
                return message, passed

    def suggested(self):
        """The suggestions for the newest edit."""
        return self.until("suggestions", self.number)[0]

    def close(self):
        self.socket.close()


@contextmanager
def serving(folder, *options, **named):
    server = Server(folder, *options, **named)
    try:
        yield server
    finally:
        server.close()


def alone(model, text):
    """What a stream says that is fed ``text`` whole: nats, suggestions, hidden states."""
    stream = model.stream()
    nats = [round(each.nats, 4) for each in stream.feed(text)]
    found = stream.suggest(3)
    return nats, [(each.text, each.probability) for each in found.completions + found.next_words]


def offered(message):
    """Suggestions as they came over the wire, to compare with :func:`alone`."""
    found = message["completions"] + message["next_words"]
    return [(each["text"], each["probability"]) for each in found]


def run_apart(coroutine):
    """Its result, from a loop in a thread of its own: Playwright keeps one in this thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
