"""What a person sees while a network trains: a bar on a terminal, plain lines elsewhere."""

import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

WINDOW = 200  # updates over which the speed is measured


class Progress:
    """Shows epoch, loss, speed and time left, on the given console. A context manager.

    ``total`` counts steps from the run's beginning and ``start`` those done before it was resumed.
    ``unit`` names what the speed counts. Where the console is no terminal, a plain line is printed
    at most once in ``interval`` seconds. ``clock`` gives seconds.
    """

    def __init__(
        self,
        console: Console,
        *,
        total: int,
        epochs: int,
        start: int = 0,
        unit: str = "characters",
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._clock = console, clock
        self._total, self._epochs, self._unit = total, epochs, unit
        self._interval, self._printed = interval, -float("inf")
        self._units = 0
        self._marks = deque([(clock(), start, 0)], maxlen=WINDOW)  # (seconds, step, units)
        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[facts]}", markup=False),
            console=console,
            expand=True,
            refresh_per_second=4,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=total, completed=start, facts="")

    def update(self, *, step: int, epoch: float, loss: float, units: int) -> None:
        """``step`` steps are done; ``units`` were processed since the last update."""
        now = self._clock()
        self._units += units
        self._marks.append((now, step, self._units))
        where, facts = f"epoch {epoch:.2f}/{self._epochs}", f"loss {loss:.4f}  {self._pace()}"
        if self._console.is_terminal:
            self._bar.update(self._task, description=where, completed=step, facts=facts)
        elif now - self._printed >= self._interval or step >= self._total:
            self._printed = now
            self._print(f"{where}  step {step}/{self._total}  {facts}")

    def note(self, text: str) -> None:
        """Print lines above the bar: a sample, an evaluation. Control characters are shown as �."""
        self._print("".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text))

    def _print(self, text: str) -> None:
        # The text is somebody's data: it is neither markup nor to be coloured or wrapped.
        self._console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def _pace(self) -> str:
        """Speed and time left, over the window."""
        (then, first, units), (now, step, all_units) = self._marks[0], self._marks[-1]
        seconds = max(now - then, 1e-9)
        speed = (all_units - units) / seconds
        left = (self._total - step) * seconds / max(step - first, 1)
        return f"{speed:,.0f} {self._unit}/s  {duration(left)} left"

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


def duration(seconds: float) -> str:
    """A time span in words of at most two units.

    >>> duration(7), duration(754), duration(11000)
    ('7 s', '12 min 34 s', '3 h 3 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
