"""What is shown on a terminal, and what in a log, by a clock that the test turns."""

import io
from dataclasses import dataclass

import pytest
from rich.console import Console

from elman.train.progress import Progress, duration


@dataclass
class Clock:
    seconds: float = 100.0

    def __call__(self) -> float:
        return self.seconds


def plain() -> Console:
    return Console(file=io.StringIO(), width=40)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def train(console: Console, clock: Clock, steps: range, interval: float = 10.0) -> None:
    """A run of 30 steps, of which ``steps`` are done: 3 seconds and 600 characters each."""
    start = steps[0] - 1
    with Progress(
        console, total=30, epochs=3, start=start, interval=interval, clock=clock
    ) as progress:
        for step in steps:
            clock.seconds += 3
            progress.update(step=step, epoch=step / 10, loss=4 / step, units=600)


def test_a_log_gets_a_line_at_most_every_interval() -> None:
    console = plain()
    train(console, Clock(), range(1, 10), interval=10)
    assert shown(console).splitlines() == [
        "epoch 0.10/3  step 1/30  loss 4.0000  200 characters/s  1 min 27 s left",
        "epoch 0.50/3  step 5/30  loss 0.8000  200 characters/s  1 min 15 s left",
        "epoch 0.90/3  step 9/30  loss 0.4444  200 characters/s  1 min 3 s left",
    ]


def test_a_log_gets_the_last_step() -> None:
    console = plain()
    train(console, Clock(), range(1, 31), interval=1000)
    assert [line.split("  ")[1] for line in shown(console).splitlines()] == [
        "step 1/30",
        "step 30/30",
    ]
    assert shown(console).endswith("  0 s left\n")


def test_a_resumed_run_counts_from_where_it_was() -> None:
    """Steps done before the resumption took no time now: they must not flatter the speed."""
    console = plain()
    train(console, Clock(), range(21, 22))
    assert shown(console) == (
        "epoch 2.10/3  step 21/30  loss 0.1905  200 characters/s  27 s left\n"
    )


def test_the_speed_is_that_of_the_recent_past() -> None:
    console, clock = plain(), Clock()
    with Progress(
        console, total=2000, epochs=1, unit="frames", interval=0, clock=clock
    ) as progress:
        for step in range(1, 1001):
            clock.seconds += 10 if step <= 500 else 1
            progress.update(step=step, epoch=0, loss=1.0, units=7)
    assert "  7 frames/s  16 min 40 s left" in shown(console).splitlines()[-1]


def test_a_terminal_gets_a_bar() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    train(console, Clock(), range(1, 31))
    last = shown(console).splitlines()[-2]  # The very last shows the cursor again.
    assert "epoch 3.00/3 ━━━━" in last
    assert "loss 0.1333  200 characters/s  0 s left" in last


@pytest.mark.parametrize("terminal", [False, True], ids=["log", "terminal"])
def test_notes_are_printed_as_they_are(terminal: bool) -> None:
    """Samples are text from outside: no markup, no wrapping, no control of the terminal."""
    console = Console(file=io.StringIO(), width=60, force_terminal=terminal, color_system=None)
    with Progress(console, total=3, epochs=1) as progress:
        progress.note("[bold]ROMEO[/bold]:\tO :smile:\n\x1b]0;owned\x07" + "x" * 90)
    assert "[bold]ROMEO[/bold]:" in shown(console)
    assert "O :smile:\n�]0;owned�" + "x" * 90 + "\n" in shown(console)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (754, "12 min 34 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (90_061, "25 h 1 min"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words
