"""Rows come back; kills and resumptions leave the file as an uninterrupted run would."""

import json
import math
from pathlib import Path

import pytest

from elman.errors import DataError, StorageError
from elman.train import metrics


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def log(path: Path, first: int, last: int) -> None:
    """Steps ``first`` to ``last`` of a run whose loss depends on the step alone."""
    for step in range(first, last + 1):
        metrics.append(path, step, {"loss": 1 / (step + 3), "epoch": step / 7})
        if step % 4 == 0:
            metrics.append(path, step, {"validation_loss": 2 / (step + 3)})


def test_reads_what_was_appended(path: Path) -> None:
    metrics.append(path, 1, {"loss": 0.1 + 0.2, "note": "é\n"})
    metrics.append(path, 2, {})
    assert metrics.read(path) == [{"step": 1, "loss": 0.1 + 0.2, "note": "é\n"}, {"step": 2}]
    assert path.read_bytes().count(b"\n") == 2


def test_every_line_is_strict_json(path: Path) -> None:
    metrics.append(path, 1, {"loss": math.nan, "deep": [{"x": -math.inf}]})

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    row = json.loads(path.read_text(), parse_constant=refuse)
    assert row == {"step": 1, "loss": None, "deep": [{"x": None}]}
    assert metrics.read(path) == [row]


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_half_last_line_is_dropped(path: Path, cut: int) -> None:
    log(path, 1, 2)
    whole = metrics.read(path)
    path.write_bytes(path.read_bytes()[:-cut])
    assert metrics.read(path) == whole[:1]


@pytest.mark.parametrize("checkpoint", [0, 1, 4, 9, 12])
@pytest.mark.parametrize("torn", [False, True], ids=["whole", "torn"])
def test_resuming_gives_the_file_of_an_uninterrupted_run(
    path: Path, tmp_path: Path, checkpoint: int, torn: bool
) -> None:
    log(tmp_path / "whole", 1, 20)
    log(path, 1, 12)
    if torn:
        path.write_bytes(path.read_bytes() + b'{"step": 13, "lo')
    metrics.truncate(path, checkpoint)
    log(path, checkpoint + 1, 20)
    assert path.read_bytes() == (tmp_path / "whole").read_bytes()


def test_truncating_a_missing_file_leaves_it_missing(path: Path) -> None:
    metrics.truncate(path, 5)
    assert not path.exists()


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b"null", b"\xff", b"{}", b'{"step": true}', b"[" * 9999, b""]
)
def test_refuses_any_other_bad_line(path: Path, line: bytes) -> None:
    path.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 3}\n')
    with pytest.raises(DataError, match="line 2 must be a JSON object with a step"):
        metrics.read(path)


def test_a_bare_nan_from_elsewhere_is_read_as_none(path: Path) -> None:
    path.write_text('{"step": 1, "loss": NaN}\n')
    assert metrics.read(path) == [{"step": 1, "loss": None}]


def test_a_full_disk_is_one_line() -> None:
    with pytest.raises(StorageError, match=r"\[metrics\] /dev/full: No space left on device; free"):
        metrics.append("/dev/full", 1, {})


def test_a_missing_file_is_one_line(path: Path) -> None:
    with pytest.raises(StorageError, match="No such file or directory; check the path"):
        metrics.read(path)


def test_refuses_what_is_no_file() -> None:
    with pytest.raises(DataError, match="zero is not a regular file"):
        metrics.read("/dev/zero")
