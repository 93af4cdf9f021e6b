"""The learning curve of a run, as a picture."""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from elman.errors import DataError
from elman.storage import storage, write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRAIN, VALID, RATE, INK, GRID = "#9db4cc", "#c8502d", "#8a8a8a", "#333333", "#e6e6e6"

Points = tuple[list[float], list[float]]


def draw(
    rows: Iterable[Mapping[str, Any]],
    path: str | Path,
    *,
    title: str = "",
    unit: str = "nats per token",
) -> None:
    """Write a PNG of the rows of ``metrics.jsonl`` (see :mod:`elman.train.metrics`).

    Above: training and validation loss in ``unit`` against epochs, the best validation loss
    marked. Below: the learning rate. Raises :class:`~elman.errors.DataError` when no row has a
    loss and :class:`~elman.errors.StorageError` when the disk refuses.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = list(rows)
    train, valid = _points(rows, "loss"), _points(rows, "validation_loss")
    if not train[0] and not valid[0]:
        raise DataError("curve", "there must be a loss to draw, found none; train a little longer")
    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
    _draw_losses(above, train, valid)
    _draw_rate(below, _points(rows, "learning_rate"))
    above.set_ylabel(f"loss ({unit})", color=INK, parse_math=False)
    above.set_title(title, loc="left", color=INK, parse_math=False)
    below.set_xlabel("epochs", color=INK)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    with storage("curve", Path(path)):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_file(Path(path), picture.getvalue())


def _points(rows: Sequence[Mapping[str, Any]], name: str) -> Points:
    """Epochs and values of the rows that have a number under ``name``."""
    pairs = [(row.get("epoch"), row.get(name)) for row in rows]
    found = [(epoch, value) for epoch, value in pairs if _is_number(epoch) and _is_number(value)]
    return [epoch for epoch, _ in found], [value for _, value in found]


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _draw_losses(axes: "Axes", train: Points, valid: Points) -> None:
    axes.plot(*train, color=TRAIN, linewidth=0.9, label="training")
    if valid[0]:
        axes.plot(*valid, color=VALID, linewidth=1.6, marker="o", markersize=4, label="validation")
        _mark_best(axes, valid)
    _tidy(axes)
    axes.legend(frameon=False, labelcolor=INK)


def _mark_best(axes: "Axes", valid: Points) -> None:
    value, epoch = min(zip(valid[1], valid[0], strict=True))
    axes.plot([epoch], [value], "o", color=VALID, markersize=9, markerfacecolor="white", zorder=3)
    low, high = axes.get_xlim()
    late = epoch > (low + high) / 2
    axes.annotate(
        f"best {value:.4f} at epoch {epoch:.4g}",
        (epoch, value),
        xytext=(-8 if late else 8, 18),
        textcoords="offset points",
        ha="right" if late else "left",
        color=VALID,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )


def _draw_rate(axes: "Axes", rate: Points) -> None:
    axes.plot(*rate, color=RATE, linewidth=1.0)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("learning\nrate", color=RATE, fontsize=9)
    _tidy(axes)


def _tidy(axes: "Axes") -> None:
    axes.margins(x=0.02)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(color=GRID, labelcolor=INK, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
