"""What is read is bounded and strict; what is written is there whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from elman.errors import StorageError
from elman.storage import parse_json, read_file, shown, storage, write_file, write_folder


def test_reads_up_to_the_limit_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    assert read_file(tmp_path / "f", 5) == b"12345"
    with pytest.raises(ValueError, match="f holds 5 bytes, at most 4 are accepted"):
        read_file(tmp_path / "f", 4)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f")
    with pytest.raises(ValueError, match="f is not a regular file"):
        read_file(tmp_path / "f", 5)


def test_a_file_is_replaced(tmp_path: Path) -> None:
    for data in (b"old", b""):
        write_file(tmp_path / "f", data)
        assert (tmp_path / "f").read_bytes() == data
    assert os.listdir(tmp_path) == ["f"]


def test_a_failed_file_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path / "f", b"old")

    def refuse(handle: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="Input/output"):
        patch.setattr(os, "fsync", refuse)
        write_file(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_files_and_folders_follow_the_umask(tmp_path: Path) -> None:
    """A folder made as temporary ones are would be closed to everyone else."""
    before = os.umask(0o027)
    try:
        write_folder(tmp_path / "d", {"f": b"x"})
        write_file(tmp_path / "g", b"x")
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("d", "d/f", "g")]
    assert modes == [0o750, 0o640, 0o640]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device"), "No space left on device; free some space"),
        (OSError(13, "Permission denied"), "Permission denied; check the permissions"),
        (OSError(5, "Input/output error"), "Input/output error; check the disk"),
        (OSError("odd"), "odd; check the disk"),
    ],
    ids=str,
)
def test_storage_gives_one_line(error: OSError, message: str) -> None:
    with pytest.raises(StorageError) as caught, storage("save", Path("a\nb")):
        raise error
    assert str(caught.value).startswith(f"[save] a b: {message}")


def test_shown_fits_one_line() -> None:
    assert shown("a\n b\t\x1b[2J\u202e") == "a b ?[2J?"
    assert shown("x" * 400) == "x" * 297 + "..."


@pytest.mark.parametrize(
    ("data", "value"),
    [(b'{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}), (b'"\\ud83d\\ude00"', "😀")],
)
def test_json(data: bytes, value: Any) -> None:
    assert parse_json(data) == value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": {"b": 1, "b": 1}}', "same key twice"),
        (b"[NaN]", "holds NaN, which is not JSON"),
        (b"[-1e400]", "number too large"),
        (b'"\\udc00"', "not Unicode"),
        (b"\xff", "not Unicode"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"9" * 5000, "digits"),
        (b"[1] 2", "Extra data"),
    ],
    ids=["twice", "nan", "overflow", "surrogate", "bytes", "lists", "objects", "long", "rest"],
)
def test_json_is_strict(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(data)


@pytest.mark.parametrize("marks", [b"[[],[]]", b'{"a":1,"b":2}', b'[1,",:[{"]'])
def test_values_are_counted_before_they_are_made(marks: bytes) -> None:
    """By their marks, those inside of texts among them."""
    count = sum(marks.count(mark) for mark in b",:[{")
    assert parse_json(marks, count) == json.loads(marks)
    with pytest.raises(ValueError, match=f"holds more than {count - 1} values"):
        parse_json(marks + b" no JSON any more", count - 1)


def test_half_a_pair_is_found_however_it_is_written() -> None:
    for escape in (b'"\\ud83d"', b'{"\\uDE00": 1}', b'["a\\\\\\ude00"]'):
        with pytest.raises(ValueError, match="is not Unicode text"):
            parse_json(escape)
    assert parse_json(b'["\\ud83d\\ude00", "\\\\ud83d"]') == ["\U0001f600", "\\ud83d"]
