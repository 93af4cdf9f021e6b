"""The picture holds the curves it is given, and leaves the rest of the process alone."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image
from matplotlib.colors import to_rgb

from elman.errors import DataError, StorageError
from elman.train import curve


def rows(epochs: int = 6) -> list[dict[str, Any]]:
    """A run whose validation loss is best at epoch 4."""
    steps = [
        {"step": s, "epoch": s / 50, "loss": 1.5 + 2.5 / (1 + s / 20), "learning_rate": 1 - s / 400}
        for s in range(50 * epochs)
    ]
    valid = [
        {"step": 50 * e, "epoch": float(e), "validation_loss": 1.6 + 0.1 * abs(e - 4) ** 1.5}
        for e in range(1, epochs + 1)
    ]
    return [*steps, *valid]


def pixels(path: Path, colour: str) -> int:
    """How many pixels are about ``colour``."""
    picture = image.imread(path)[..., :3]
    return int((np.abs(picture - to_rgb(colour)).max(axis=-1) < 0.04).sum())


def test_draws_each_curve_in_its_colour(tmp_path: Path) -> None:
    path = tmp_path / "plots" / "loss.png"
    curve.draw(rows(), path, title="tiny")
    for colour in (curve.TRAIN, curve.VALID, curve.RATE):
        assert pixels(path, colour) > 300
    curve.draw([row for row in rows() if "loss" in row], path)
    assert pixels(path, curve.VALID) == 0


def test_annotates_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    noted: list[tuple[str, Any]] = []
    true = Axes.annotate

    def annotate(self: Axes, text: str, xy: Any, *rest: Any, **options: Any) -> Any:
        noted.append((text, tuple(xy)))
        return true(self, text, xy, *rest, **options)

    monkeypatch.setattr(Axes, "annotate", annotate)
    curve.draw(rows(), tmp_path / "loss.png")
    assert noted == [("best 1.6000 at epoch 4", (4.0, 1.6))]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param([{"epoch": 0.1, "loss": 2.0}], id="one-step"),
        pytest.param([{"epoch": 1, "validation_loss": 2.0}], id="one-evaluation"),
        pytest.param([{"epoch": 1, "loss": 1}, {"epoch": 2, "loss": None}], id="diverged"),
        pytest.param([{"loss": 1, "epoch": "x"}, {"epoch": 2, "loss": 1}, {}], id="odd-rows"),
        pytest.param([{"epoch": e, "loss": -3.0} for e in range(3)], id="flat-and-negative"),
        pytest.param([{"epoch": e, "loss": 10.0 ** (9 * e)} for e in range(3)], id="exploding"),
    ],
)
def test_draws_short_and_odd_runs(tmp_path: Path, content: list[dict[str, Any]]) -> None:
    curve.draw(content, tmp_path / "loss.png", title=r"costs $\frac$", unit="nats_per_pen")
    assert image.imread(tmp_path / "loss.png").shape[:2] == (750, 1200)


@pytest.mark.parametrize("content", [[], [{"epoch": 1, "loss": math.nan}]], ids=["empty", "nan"])
def test_refuses_a_run_without_a_loss(tmp_path: Path, content: list[dict[str, Any]]) -> None:
    with pytest.raises(DataError, match="there must be a loss to draw, found none"):
        curve.draw(content, tmp_path / "loss.png")


def test_an_unwritable_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "plots").touch()
    with pytest.raises(StorageError, match=r"\[curve\] .*loss.png: "):
        curve.draw(rows(1), tmp_path / "plots" / "loss.png")


def test_matplotlib_is_loaded_late_and_without_pyplot(tmp_path: Path) -> None:
    program = f"""
import sys
from elman.train import curve
assert "matplotlib" not in sys.modules
curve.draw([{{"epoch": 1, "loss": 1.0}}], {str(tmp_path / "loss.png")!r})
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
