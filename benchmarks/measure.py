"""Who is right, and how long each takes: contestants are checked first, then take turns."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import Figure, Row

Arrays = Mapping[str, NDArray[Any]]
# Largest difference from the reference, relative to the array's largest value. The worst of the
# four libraries over all shapes was 3.3e-6 when this was set.
FLOAT32 = 1e-5
SGEMM = 1024  # rows and columns of the product whose rate is the peak
# Seconds that a turn lasts at least, and as long before it the same calls go untimed: its threads
# wake up and its data come back into the cache. Systems may wake two threads on one core: one time
# in ten they were seen to stay there for 10 ms and more, with the other core idle.
SLOT = 0.02
# Seconds for the threads of whoever came before to fall asleep. onnxruntime's were seen to spin for
# more than 20 ms after a call; an sgemm that followed took three times as long.
PAUSE = 0.05
LEAST = 5  # rounds, unless one call takes the whole share


@dataclass(frozen=True)
class Contestant:
    """A way to compute something: ``run`` is timed, ``result`` is compared with ``expected``."""

    name: str
    run: Callable[[], Any]
    result: Callable[[], Arrays]
    expected: Callable[[], Arrays]  # of the reference
    tolerance: float = FLOAT32


def difference(found: Arrays, expected: Arrays) -> tuple[float, str]:
    """Largest distance relative to the largest expected value, over all arrays, and where."""
    worst, where = 0.0, ""
    if found.keys() != expected.keys():
        return float("inf"), f"results named {sorted(found)} instead of {sorted(expected)}"
    for name, wanted in expected.items():
        array = np.asarray(found[name], dtype=np.float64)
        if array.shape != wanted.shape:
            return float("inf"), f"shape {array.shape} of {name}"
        scale = max(float(np.abs(wanted).max(initial=0.0)), 1e-12)
        distance = float(np.abs(array - wanted).max(initial=0.0)) / scale
        if not distance <= worst:  # NaN is no small distance
            worst, where = (distance if distance == distance else float("inf")), name
    return worst, where


def accept(
    contestants: Sequence[Contestant],
) -> tuple[dict[str, tuple[Contestant, float]], dict[str, str]]:
    """Those whose result is the reference's, with their difference; why the others are not."""
    accepted, refused = {}, {}
    for each in contestants:
        found, where = difference(each.result(), each.expected())
        if found <= each.tolerance:
            accepted[each.name] = each, found
        else:
            refused[each.name] = f"differs by {found:.1e} in {where}, allowed {each.tolerance:.0e}"
    return accepted, refused


def take_turns(runs: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, list[float]]:
    """Seconds a call, one value a round. Each contestant may spend its share of ``seconds``.

    One whose single call takes more than its share is called once; all were called before, when
    they were checked, so none is cold. Every other round goes in the
    opposite order, so that none always follows the same neighbour.
    """
    share = seconds / len(runs)
    times: dict[str, list[float]] = {name: [] for name in runs}
    spent = dict.fromkeys(runs, 0.0)
    each = {name: _length(run) for name, run in runs.items()}
    for name in runs:
        if each[name] > share:
            times[name].append(each[name])
    pending = [name for name in runs if not times[name]]
    while pending:
        for name in pending:
            repeats = max(1, int(SLOT / max(each[name], 1e-9)))
            begun = time.perf_counter()
            time.sleep(PAUSE)
            if each[name] < SLOT:
                _clock(runs[name], repeats)  # see SLOT
            times[name].append(_clock(runs[name], repeats))
            spent[name] += time.perf_counter() - begun
        pending = [
            name for name in reversed(pending) if spent[name] < share or len(times[name]) < LEAST
        ]
    return times


def _length(run: Callable[[], Any]) -> float:
    """Seconds of one call; the first of a short one may be cold, and ten times as long."""
    first = _clock(run, 1)
    return first if first > 10 * SLOT else min(_clock(run, 1) for _ in range(3))


def _clock(run: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def figure(times: Sequence[float], difference: float, tolerance: float) -> Figure:
    quartiles = statistics.quantiles(times, n=4) if len(times) > 1 else [times[0]] * 3
    middle = statistics.median(times)
    return Figure(middle, quartiles[0], quartiles[2], len(times), difference, tolerance)


def compare(
    cell: str, shape: str, contestants: Sequence[Contestant], seconds: float, **work: int
) -> Row:
    """One row: the contestants that are right, measured in turns beside an sgemm."""
    accepted, refused = accept(contestants)
    runs = {name: each.run for name, (each, _) in accepted.items()}
    times = take_turns(runs | {"sgemm": _sgemm()}, seconds)
    peak = 2 * SGEMM**3 / statistics.median(times.pop("sgemm"))
    figures = {
        name: figure(times[name], found, each.tolerance) for name, (each, found) in accepted.items()
    }
    return Row(cell, shape, figures, refused, sgemm=peak, **work)


def _sgemm() -> Callable[[], Any]:
    import torch

    a, b, c = (torch.rand(SGEMM, SGEMM) for _ in range(3))
    return lambda: torch.mm(a, b, out=c)
