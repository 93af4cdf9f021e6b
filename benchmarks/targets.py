"""What each suite must show. Amounts are times or bytes, so a ratio above 1 favours elman."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.record import LABELS, Row
from benchmarks.shapes import LARGE, MIDDLE, SINGLE, STEP_SIZES, Shape

Rows = Sequence[Row]
Reduce = Callable[[list[float]], float]
STEP_PEERS = ("torch layer", "torch cell", "onnxruntime")
PEERS = ("torch.nn", "onnxruntime", "jax")
MEAN = statistics.geometric_mean


@dataclass(frozen=True)
class Target:
    """``found`` of the rows must be at least, or at most, ``bound``; None if not measured."""

    what: str
    bound: float
    found: Callable[[Rows], float | None]
    at_most: bool = False

    def met(self, rows: Rows) -> bool:
        value = self.found(rows)
        if value is None:
            return False
        return value <= self.bound if self.at_most else value >= self.bound


def of(rows: Rows, shapes: Sequence[Shape] = (), cells: Sequence[str] = ()) -> list[Row]:
    """The rows of these shapes and cells; all where none is named."""
    names = [str(shape) for shape in shapes]
    return [
        row
        for row in rows
        if (not names or row.shape in names) and (not cells or row.cell in cells)
    ]


def ratio(row: Row, over: Sequence[str], under: Sequence[str]) -> float | None:
    """The least amount of ``over`` in units of the least of ``under``, those that are there."""
    held = [
        [row.figures[name].amount for name in names if name in row.figures]
        for names in (over, under)
    ]
    return min(held[0]) / min(held[1]) if all(held) else None


def ratios(
    reduce: Reduce,
    over: Sequence[str],
    under: Sequence[str] = ("elman",),
    shapes: Sequence[Shape] = (),
    cells: Sequence[str] = (),
) -> Callable[[Rows], float | None]:
    """``reduce`` of that ratio over the rows; nothing unless every row that is asked for has it."""

    def found(rows: Rows) -> float | None:
        chosen = [ratio(row, over, under) for row in of(rows, shapes, cells)]
        values = [value for value in chosen if value is not None]
        return reduce(values) if values and len(values) == len(chosen) else None

    return found


def least_fraction(rows: Rows) -> float | None:
    """The lowest part of the sgemm rate at the two large shapes."""
    values = [fraction(row, "elman") for row in of(rows, (MIDDLE, LARGE))]
    return min((v for v in values if v is not None), default=None) if all(values) else None


def fraction(row: Row, name: str) -> float | None:
    """Part of the sgemm rate of the same rounds."""
    if name not in row.figures or not row.flops or not row.sgemm:
        return None
    return row.flops / row.figures[name].amount / row.sgemm


def slowest_refusal(rows: Rows) -> float | None:
    """The longest that a session past the server's limit waited for its refusal, in seconds."""
    found = [each for row in rows if (each := row.figures.get("slowest refusal"))]
    return max((each.amount for each in found), default=None)


def p95(sessions: int) -> Callable[[Rows], float | None]:
    """Seconds within which 95 of a hundred suggestions come, so many sessions typing."""

    def found(rows: Rows) -> float | None:
        chosen = [row for row in rows if row.shape == f"{sessions} at 5 keys/s"]
        figure = chosen[0].figures.get("p95") if chosen else None
        return figure and figure.amount

    return found


def p95_past_the_limit(rows: Rows) -> float | None:
    """How much longer suggestions take for those who are in while others are refused."""
    held = {"slowest refusal" in row.figures: row for row in rows if row.shape.startswith("50 ")}
    if len(held) < 2 or not all("p95" in row.figures for row in held.values()):
        return None
    return held[True].figures["p95"].amount / held[False].figures["p95"].amount


def _timestep() -> list[Target]:
    bounds = dict(zip(STEP_SIZES, (5.0, 3.0, 1.5, 1.2), strict=True))
    narrow = ("elman bfloat16", "elman int8")

    def at(size: int, ours: Sequence[str]) -> Callable[[Rows], float | None]:
        return ratios(MEAN, STEP_PEERS, ours, [Shape(1, 1, size, size)])

    found = [Target(f"float32, H={h}", bound, at(h, ("elman",))) for h, bound in bounds.items()]
    return found + [Target(f"bfloat16 or int8, H={h}", 2.5, at(h, narrow)) for h in (256, 512)]


def _ragged(cell: str) -> Target:
    against = ratios(max, ["elman ragged"], ["elman full batch"], cells=[cell])
    return Target(f"{LABELS[cell]}, time of the full batch", 0.60, against, at_most=True)


def _sessions(streams: int) -> Target:
    """The batcher at so many streams; the worst of the cells."""

    def found(rows: Rows) -> float | None:
        chosen = [row for row in rows if row.shape.endswith(f", {streams} streams")]
        return ratios(min, ["elman one at a time"])(chosen)

    return Target(f"one at a time, {streams} streams", 4.0, found)


def _core(cell: str, size: int, weights: str, most: float) -> Target:
    """Microseconds of one timestep in the core."""

    def found(rows: Rows) -> float | None:
        chosen = of(rows, [Shape(1, 1, size, size)], [cell])
        return (
            chosen[0].figures[weights].amount * 1e6
            if chosen and weights in chosen[0].figures
            else None
        )

    return Target(f"microseconds, {LABELS[cell]}, {weights}, H={size}", most, found, at_most=True)


_OPTIONS, _NORMED = "elman options", "elman options + layer norm"
TARGETS: dict[str, list[Target]] = {
    "timestep": _timestep(),
    "core": [
        *(_core("lstm", h, "float32", most) for h, most in ((16, 0.12), (32, 0.25), (64, 1.2))),
        *(_core("gru", h, "float32", most) for h, most in ((16, 0.11), (32, 0.22), (64, 0.95))),
        _core("lstm", 64, "bfloat16", 0.6),
        _core("gru", 64, "bfloat16", 0.475),
    ],
    "training": [
        Target("torch.nn, worst case", 0.97, ratios(min, ["torch.nn"])),
        Target("torch.nn, geometric mean", 2.0, ratios(MEAN, ["torch.nn"])),
        Target(
            f"torch.nn, GRU and RNN at {SINGLE}, worst",
            10.0,
            ratios(min, ["torch.nn"], shapes=[SINGLE], cells=["gru", "elman"]),
        ),
        Target(f"fraction of sgemm at {MIDDLE} and {LARGE}, worst", 0.80, least_fraction),
    ],
    "inference": [
        Target("the fastest peer, worst case", 0.95, ratios(min, PEERS)),
        Target("the fastest peer, geometric mean", 1.2, ratios(MEAN, PEERS)),
    ],
    "autocast": [
        Target("elman float32, worst case", 1.4, ratios(min, ["elman float32"], ["elman bfloat16"]))
    ],
    "ragged": [
        *(_ragged(cell) for cell in ("lstm", "gru", "elman")),
        Target(
            "torch.nn's packed LSTM",
            10.0,
            ratios(min, ["torch.nn packed"], ["elman ragged"], cells=["lstm"]),
        ),
    ],
    "options": [
        Target(
            "time of the plain LSTM, worst case",
            1.2,
            ratios(max, [_OPTIONS], ["elman plain"]),
            True,
        ),
        Target(
            "with layer norm, time of the plain LSTM, worst case",
            1.6,
            ratios(max, [_NORMED], ["elman plain"]),
            True,
        ),
        Target("the PyTorch loop, worst case", 10.0, ratios(min, ["loop options"], [_OPTIONS])),
        Target(
            "with layer norm, the PyTorch loop, worst case",
            10.0,
            ratios(min, ["loop options + layer norm"], [_NORMED]),
        ),
    ],
    "trajectory": [
        Target(
            "time of the plain forward pass, worst case",
            1.1,
            ratios(max, ["elman trajectory"], ["elman forward"]),
            True,
        )
    ],
    "text": [
        Target("torch.nn, LSTM 1 x 512", 1.1, ratios(min, ["torch.nn"], cells=["lstm"])),
        Target("torch.nn, GRU 2 x 256", 1.5, ratios(min, ["torch.nn"], cells=["gru"])),
    ],
    "generate": [
        Target(
            "torch.nn, H up to 256, worst case",
            5.0,
            ratios(min, ["torch.nn"], shapes=[Shape(1, 1, min(h, 128), h) for h in STEP_SIZES[:3]]),
        )
    ],
    "sessions": [_sessions(64)],
    "memory": [],
    "server": [
        Target("p95 of 50 sessions at 5 keys/s, seconds", 0.1, p95(50), at_most=True),
        Target("p95 of 200 sessions at 5 keys/s, seconds", 1.0, p95(200), at_most=True),
        Target("seconds until a refusal past the limit", 1.0, slowest_refusal, at_most=True),
        Target("p95 with refusals, of p95 without", 2.0, p95_past_the_limit, at_most=True),
    ],
}
