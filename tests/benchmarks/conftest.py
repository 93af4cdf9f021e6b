"""Results made by hand, with figures that are easily checked."""

import pytest

from benchmarks.record import Figure, Result, Row
from benchmarks.shapes import TABLE, forward_flops, training_flops


def figure(amount: float) -> Figure:
    return Figure(amount, amount, amount, 5, 1e-7, 1e-5)


@pytest.fixture
def row():
    def make(cell="lstm", shape="64,32,64,128", refused=None, absent=(), **amounts) -> Row:
        figures = {name.replace("_", " "): figure(amount) for name, amount in amounts.items()}
        return Row(cell, shape, figures, refused or {})

    return make


@pytest.fixture
def training() -> Result:
    """elman takes 1 ms and torch.nn 3 ms in every case, and sgemm does 1 TFLOP/s."""
    rows = []
    for shape in TABLE:
        for cell in ("elman", "gru", "lstm"):
            figures = {"elman": figure(1e-3), "torch.nn": figure(3e-3)}
            flops = training_flops(cell, shape)
            rows.append(Row(cell, str(shape), figures, flops=flops, sgemm=1e12))
    return result("training", rows, absent={"jax": "jax not installed"})


@pytest.fixture
def inference() -> Result:
    """elman takes as long as the faster of its two peers; jax was wrong in the first case."""
    rows = []
    for shape in TABLE:
        for cell in ("elman", "gru", "lstm"):
            figures = {"elman": figure(2e-3), "torch.nn": figure(4e-3), "jax": figure(2e-3)}
            rows.append(Row(cell, str(shape), figures, flops=forward_flops(cell, shape)))
    wrong = rows[0].figures.copy()
    del wrong["jax"]
    why = {"jax": "differs by 1.0e-03 in outputs, allowed 1e-05"}
    rows[0] = Row(rows[0].cell, rows[0].shape, wrong, why, flops=rows[0].flops)
    return result("inference", rows)


def result(suite: str, rows: list[Row], absent: dict[str, str] | None = None) -> Result:
    machine = {
        "cpu": "a processor",
        "cores": 2,
        "isa": "avx512",
        "instructions": ["avx2", "fma"],
        "memory_gib": 24.0,
        "os": "Linux x86_64",
        "python": "3.11.7",
    }
    return Result(
        suite=suite,
        quick=False,
        date="2026-11-21 12:00 UTC",
        commit="0123456789abcdef",
        dirty=True,
        threads=2,
        machine=machine,
        versions={"torch": "2.13.0"},
        absent=absent or {},
        rows=rows,
    )
