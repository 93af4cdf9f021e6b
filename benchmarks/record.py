"""What a measurement is once it is made: rows of figures, and the file that keeps them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# As people call them: beside the library's name, "elman" would be read as the library.
LABELS = {"elman": "RNN", "gru": "GRU", "lstm": "LSTM"}
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """One contestant in one case: the median amount, its quartiles, and how right it was."""

    amount: float  # seconds, or bytes: less is better
    low: float
    high: float
    rounds: int
    difference: float  # from the reference, relative to the largest value
    tolerance: float


@dataclass(frozen=True)
class Row:
    """One case: its contestants side by side, the subject first."""

    cell: str
    shape: str
    figures: dict[str, Figure]
    refused: dict[str, str] = field(default_factory=dict)  # contestant -> why it has no figure
    unit: str = "s"  # or "byte"
    flops: int = 0
    characters: int = 0
    sgemm: float = 0.0  # FLOP/s in the same rounds

    @property
    def case(self) -> str:
        return f"{LABELS[self.cell]} {self.shape}"


@dataclass(frozen=True)
class Result:
    """One suite, and where and when it was measured."""

    suite: str
    quick: bool
    date: str
    commit: str
    dirty: bool
    threads: int
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    absent: Mapping[str, str]  # what was not compared, and why
    rows: list[Row]


def write(result: Result, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.suite}.json"
    path.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
    return path


def read(path: Path) -> Result:
    held = json.loads(path.read_text(encoding="utf-8"))
    rows = [
        Row(**row | {"figures": {n: Figure(**figure) for n, figure in row["figures"].items()}})
        for row in held.pop("rows")
    ]
    return Result(**held, rows=rows)


def read_all(folder: Path, order: tuple[str, ...]) -> list[Result]:
    """The results that ``folder`` has, in the order of the suites."""
    paths = [folder / f"{suite}.json" for suite in order]
    return [read(path) for path in paths if path.exists()]
