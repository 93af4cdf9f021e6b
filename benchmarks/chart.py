"""The chart of ``docs/performance.md``: how many times as fast as the fastest peer."""

import hashlib
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.record import Result
from benchmarks.targets import PEERS, STEP_PEERS, ratio

NAME = "performance.svg"
TITLE = "Times as fast as the fastest peer"
INK, FASTER, SLOWER = "#808080", "#3d8fd1", "#d1793d"  # each to be read on white and on black
PLOTTED = {
    "timestep": (STEP_PEERS, "elman"),
    "training": (PEERS, "elman"),
    "inference": (PEERS, "elman"),
    "ragged": (("torch.nn packed",), "elman ragged"),
    "text": (PEERS, "elman"),
}


def bars(results: Sequence[Result]) -> list[tuple[str, float]]:
    """One bar a suite and shape: the geometric mean over the cells."""
    found = []
    for result in results:
        if result.suite not in PLOTTED:
            continue
        peers, ours = PLOTTED[result.suite]
        for shape in dict.fromkeys(row.shape for row in result.rows):
            rows = [row for row in result.rows if row.shape == shape]
            values = [value for row in rows if (value := ratio(row, peers, [ours]))]
            if values:
                found.append((label(result.suite, shape), statistics.geometric_mean(values)))
    return found


def label(suite: str, shape: str) -> str:
    if suite == "timestep":
        return f"{suite} H = {shape.rpartition(',')[2]}"
    return f"{suite} {shape.replace(',', ' · ')}"


def digest(results: Sequence[Result]) -> str:
    """Names the figures that a chart was drawn from."""
    return hashlib.sha256(json.dumps(bars(results)).encode()).hexdigest()


def draw(results: Sequence[Result], path: Path) -> None:
    """Write the SVG, the same bytes from the same figures; remove it where there is nothing."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    shown = bars(results)[::-1]
    if not shown:
        path.unlink(missing_ok=True)
        return
    style = {"svg.hashsalt": "elman", "svg.fonttype": "none", "font.family": "sans-serif"}
    with mpl.rc_context(style):
        figure = Figure(figsize=(7.5, 0.8 + 0.26 * len(shown)), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        names, values = zip(*shown, strict=True)
        colours = [FASTER if value >= 1 else SLOWER for value in values]
        # Bars begin at 1: to the right elman is faster, to the left slower.
        axes.barh(names, [v - 1 for v in values], left=1, color=colours, height=0.7)
        axes.set_xscale("log", base=2)
        axes.set_xlim(min(0.5, *values) * 0.8, max(2, *values) * 1.8)
        axes.xaxis.set_major_formatter("{x:g}")
        for name, value in shown:
            axes.annotate(
                f"{value:.2f}",
                (max(value, 1), name),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                color=INK,
                fontsize=8,
            )
        axes.axvline(1, color=INK, linewidth=1)
        axes.set_title(TITLE, color=INK, loc="left", fontsize=10)
        axes.tick_params(colors=INK, labelsize=8)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(INK)
        metadata = {"Date": None, "Creator": None, "Description": digest(results)}
        figure.savefig(path, format="svg", transparent=True, metadata=metadata)
