"""People who type: many live sessions on one server, from a process of their own.

    python -m benchmarks.typists PORT TOKEN SESSIONS KEYS_A_SECOND SECONDS TEXT

Prints as JSON how long each answered edit took, and what each session was told last. With 0 keys
a second each next key waits for the suggestions for the last.
"""

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

LONGEST = 2000  # characters a session


async def begin(port: int, token: str, gate: asyncio.Semaphore) -> Any:
    """A socket whose session has started, or the seconds until it was refused."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    async with gate:
        begun = time.perf_counter()
        socket = await connect(
            f"ws://127.0.0.1:{port}/v1/session",
            additional_headers={"Authorization": f"Bearer {token}"},
            compression=None,
            open_timeout=60,
        ).__aenter__()
        try:
            await socket.send('{"type":"start"}')
            if json.loads(await socket.recv())["type"] == "started":
                return socket
        except ConnectionClosed:
            pass
        return time.perf_counter() - begun


class Typist:
    """One session: what was typed, when, and what came back."""

    def __init__(self, socket: Any, text: str) -> None:
        self.socket, self.text = socket, text
        self.sent: list[float] = []
        self.seconds: list[float] = []
        self.told: dict[str, Any] = {"number": 0}
        self.news = asyncio.Event()

    async def listen(self) -> None:
        async for message in self.socket:
            if message.startswith('{"type":"suggestions"'):
                self.told = json.loads(message)
                self.seconds.append(time.perf_counter() - self.sent[self.told["number"] - 1])
                self.news.set()

    async def type(self, rate: float, seconds: float) -> None:
        listening = asyncio.create_task(self.listen())
        await asyncio.sleep(random.random() / rate if rate else 0)
        until = time.perf_counter() + seconds
        while time.perf_counter() < until and len(self.sent) < LONGEST:
            await self.key()
            if rate:
                await asyncio.sleep(max(0, self.sent[-1] + 1 / rate - time.perf_counter()))
            else:
                await self.news.wait()
        while self.told["number"] < len(self.sent):
            self.news.clear()
            await self.news.wait()
        listening.cancel()

    async def key(self) -> None:
        place = len(self.sent)
        edit = {"type": "edit", "number": place + 1, "keep": place, "insert": self.text[place]}
        self.news.clear()
        self.sent.append(time.perf_counter())
        await self.socket.send(json.dumps(edit))


async def main(port: int, token: str, sessions: int, rate: float, seconds: float, path: str) -> Any:
    corpus, draw = Path(path).read_text(encoding="utf-8"), random.Random(1)
    gate = asyncio.Semaphore(4)
    begun = await asyncio.gather(*(begin(port, token, gate) for _ in range(sessions)))
    typists = []
    for each in begun:
        if not isinstance(each, float):
            place = draw.randrange(max(1, len(corpus) - LONGEST))
            typists.append(Typist(each, corpus[place : place + LONGEST]))
    await asyncio.gather(*(each.type(rate, seconds) for each in typists))
    for each in typists:
        await each.socket.close()
    return {
        "seconds": [second for each in typists for second in each.seconds],
        "refusals": [each for each in begun if isinstance(each, float)],
        "told": [[each.text[: len(each.sent)], each.told] for each in typists],
    }


if __name__ == "__main__":
    port, token, sessions, rate, seconds, path = sys.argv[1:]
    found = main(int(port), token, int(sessions), float(rate), float(seconds), path)
    print(json.dumps(asyncio.run(found)))
