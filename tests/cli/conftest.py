import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from elman.cli.main import run


class Answer:
    """What a command said: exit code, standard output, standard error."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def elman(capfd):
    """Run a command in this process."""

    def call(*arguments):
        capfd.readouterr()
        code = run([str(each) for each in arguments])
        return Answer(code, *capfd.readouterr())

    return call


@pytest.fixture
def start():
    """Start a command as a process of its own, as a shell does."""
    started = []

    def call(*arguments, **options):
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "elman", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, env=environment, **(pipes | options))
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


PHRASE = (
    "the quick brown fox jumps over a lazy dog while seven small birds sing in an old tree and "
    "nobody knows why they never stop before evening comes"
)


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """A text with something to learn: words in a random order, 12,000 characters."""
    draw = random.Random(5)
    text = " ".join(draw.choice(PHRASE.split()) for _ in range(2600))[:12000] + "\n"
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text(text)
    return path


SMALL = ("--hidden", 24, "--window", 20, "--batch", 8, "--epochs", 3, "--lr", 0.02, "--warmup", 5)


@pytest.fixture(scope="session")
def trained(book, tmp_path_factory):
    """A small finished run."""
    out = tmp_path_factory.mktemp("runs") / "small"
    assert run([str(a) for a in ("train", "text", book, "--out", out, *SMALL)]) == 0
    return out


@pytest.fixture
def small():
    return SMALL


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
