"""A suggestion over WebSocket: half, 95 and 99 of a hundred take no longer, by sessions at a time.

The server, and the sessions that type five keys a second each (one: the next key as soon as the
last is answered), share the machine's cores and its loopback.
"""

import json
import math
import pydoc_data.topics
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.record import Figure, Row
from benchmarks.suites import Settings
from elman.runtime import TextModel, load

FOLDER = Path("build/benchmarks/server")
TOKEN = "a-token-for-the-benchmark"
KEYS = 5.0  # a second
SIZES = ((1, 0.0), (1, KEYS), (50, KEYS), (200, KEYS))  # sessions, keys a second; 0: as answered
LIMIT, BEYOND = 50, 100  # sessions that are served, and that come besides
SECONDS = 8.0
QUANTILES = (0.50, 0.95, 0.99)


def rows(settings: Settings) -> Iterator[Row]:
    corpus, run = trained(settings.quick)
    model = load(run / "best")
    assert isinstance(model, TextModel)
    seconds = settings.seconds(SECONDS)
    with served(run, "--sessions", 256) as port:
        for sessions, rate in ((3, KEYS),) if settings.quick else SIZES:
            yield row(
                model, typed(port, sessions, rate, seconds, corpus), f"{sessions} at {pace(rate)}"
            )
    limit, beyond = (2, 3) if settings.quick else (LIMIT, BEYOND)
    with served(run, "--sessions", limit) as port:
        found = typed(port, limit + beyond, KEYS, seconds, corpus)
        assert len(found["refusals"]) == beyond
        yield row(model, found, f"{limit} at {pace(KEYS)}, {beyond} more refused")


def pace(rate: float) -> str:
    return f"{rate:g} keys/s" if rate else "full speed"


def row(model: TextModel, found: dict[str, Any], shape: str) -> Row:
    """The quantiles, beside how far the last suggestions were from what the model says alone."""
    wrong = max(difference(model, text, told) for text, told in found["told"])
    seconds = sorted(found["seconds"])
    figures = {
        f"p{round(100 * part)}": figure(quantile(seconds, part), seconds, wrong)
        for part in QUANTILES
    }
    if found["refusals"]:
        figures["slowest refusal"] = figure(max(found["refusals"]), found["refusals"], wrong)
    accepted = {name: each for name, each in figures.items() if not each.difference}
    refused = {name: "told other suggestions" for name in figures.keys() - accepted.keys()}
    return Row(model.spec.cell, shape, accepted, refused)


def figure(amount: float, seconds: list[float], wrong: float) -> Figure:
    return Figure(amount, amount, amount, len(seconds), wrong, 0.0)


def quantile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, math.floor(part * len(ordered)))]


def difference(model: TextModel, text: str, told: dict[str, Any]) -> float:
    """Between the probabilities told and the model's own; 1 where the words differ."""
    stream = model.stream()
    stream.feed(text)
    expected = stream.suggest(3)
    own = [(each.text, each.probability) for each in expected.completions + expected.next_words]
    found = [
        (each["text"], each["probability"]) for each in told["completions"] + told["next_words"]
    ]
    if [word for word, _ in own] != [word for word, _ in found]:
        return 1.0
    return max((abs(a - b) for (_, a), (_, b) in zip(own, found, strict=True)), default=0.0)


def trained(quick: bool) -> tuple[Path, Path]:
    """What is typed, and a model that has read it; both are kept for the next time."""
    hidden = 16 if quick else 256
    folder = FOLDER / str(hidden)
    corpus = folder / "topics.txt"
    if not (folder / "run" / "best").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        text = "\n".join(pydoc_data.topics.topics.values())
        corpus.write_text(text[: 20_000 if quick else None], encoding="utf-8")
        words = ["train", "text", corpus, "--out", folder / "run", "--hidden", hidden]
        command = [sys.executable, "-m", "elman", *words, "--epochs", 1 if quick else 4]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    return corpus, folder / "run"


@contextmanager
def served(run: Path, *options: object) -> Iterator[int]:
    """A server in a process of its own; its port."""
    words = ["serve", run, "--port", 0, "--token", TOKEN, "--rate", 100_000, *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "elman", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("Open "))
        yield int(line.split("/")[2].rpartition(":")[2])
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def typed(port: int, sessions: int, rate: float, seconds: float, corpus: Path) -> dict[str, Any]:
    words = [port, TOKEN, sessions, rate, seconds, corpus]
    command = [sys.executable, "-m", "benchmarks.typists", *map(str, words)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
