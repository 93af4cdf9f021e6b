"""Model folders that were not written by elman, or were damaged: one line, never a traceback."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman import modelfile
from elman.errors import ElmanError, ModelError, StorageError

CONFIG = {"format": "elman", "version": 1, "task": "text", "spec": {}}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A sound model folder, to be spoiled."""
    folder = tmp_path / "model"
    modelfile.write(
        folder, task="text", spec={}, tensors={"w": np.ones(3)}, tokenizer={"a": 1}, readme="hi"
    )
    return folder


def refused(folder: Path) -> str:
    """The one line of the error that reading ``folder`` gives."""
    with pytest.raises(ModelError) as caught:
        modelfile.read(folder)
    line = str(caught.value)
    assert line.isprintable()
    assert line.startswith("[model] ")
    assert len(line) < 1000
    assert caught.value.exit_code == 5
    return line


def safetensors(header: object, data: bytes = b"", size: int | None = None) -> bytes:
    """A safetensors file by hand, so that its header may lie."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if size is None else size).to_bytes(8, "little") + text + data


def tensor(shape: list[int], end: int, dtype: str = "F32", begin: int = 0) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


TWICE = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},' * 2
TENSOR_FILES = {
    "empty": (b"", "model.safetensors"),
    "not-safetensors": (b"PK\x03\x04" + bytes(100), "model.safetensors"),
    "pickle": (b"\x80\x04\x95" + bytes(30), "model.safetensors"),
    "header-endless": (safetensors({}, size=2**63), "the header holds 9223372036854775808 bytes"),
    "header-longer-than-file": (safetensors({}, size=50), "ends within its header"),
    "header-not-unicode": (safetensors(b"{\xff}"), "is not Unicode text"),
    "header-deep": (safetensors(b"[" * 100_000), "nested too deeply"),
    "header-a-list": (safetensors([1]), "must be a JSON object"),
    "name-twice": (
        safetensors(TWICE[:-1].replace(b"},{", b"},") + b"}", bytes(4)),
        "same key twice",
    ),
    "data-too-short": (safetensors({"a": tensor([2], 8)}, bytes(4)), "model.safetensors"),
    "data-left-over": (safetensors({"a": tensor([1], 4)}, bytes(8)), "without gaps"),
    "data-shared": (
        safetensors({"a": tensor([1], 4), "b": tensor([1], 4)}, bytes(4)),
        "without overlapping",
    ),
    "shape-lies": (safetensors({"a": tensor([3], 4)}, bytes(4)), "must have 12 bytes"),
    "shape-overflows": (safetensors({"a": tensor([2**62, 8], 0)}), "must have 1475739525896764129"),
    "shape-endless-number": (safetensors({"a": tensor([10**400] * 8, 0)}), "must have"),
    "shape-huge-and-empty": (safetensors({"a": tensor([0, 2**62], 0)}), "must not be empty"),
    "shape-negative": (safetensors({"a": tensor([-1], 4)}, bytes(4)), "whole numbers"),
    "shape-endless": (safetensors({"a": tensor([1] * 99, 4)}, bytes(4)), "at most 8 axes"),
    "dtype-unknown": (safetensors({"a": tensor([1], 4, "X9")}, bytes(4)), "found X9"),
    "dtype-integer": (safetensors({"a": tensor([1], 8, "I64")}, bytes(8)), "found I64"),
    "dtype-no-name": (safetensors({"a": tensor([1], 4, ["F32"])}, bytes(4)), "found ['F32']"),
    "narrow-vector": (safetensors({"a": tensor([2], 4, "BF16")}, bytes(4)), "must be a matrix"),
    "narrow-nan": (
        safetensors({"a": tensor([1, 2], 4, "BF16")}, b"\0\0\x80\xff"),
        "a must be finite",
    ),
    "codes-without-scale": (safetensors({"a": tensor([1, 4], 4, "I8")}, bytes(4)), "F32 tensor"),
    "scale-of-another-size": (
        safetensors({"a": tensor([1, 4], 4, "I8"), "a.scale": tensor([2], 12, begin=4)}, bytes(12)),
        "one number of 0 or more a row",
    ),
    "scale-below-zero": (
        safetensors(
            {"a": tensor([1, 4], 4, "I8"), "a.scale": tensor([1], 8, begin=4)},
            bytes(4) + np.float32(-1).tobytes(),
        ),
        "one number of 0 or more a row",
    ),
    "scale-infinite": (
        safetensors(
            {"a": tensor([1, 4], 4, "I8"), "a.scale": tensor([1], 8, begin=4)},
            bytes(4) + np.float32(np.inf).tobytes(),
        ),
        "a.scale must be finite",
    ),
    "entry-of-more": (safetensors({"a": tensor([1], 4) | {"x": 1}}, bytes(4)), "data_offsets"),
    "entry-a-list": (safetensors({"a": [1]}, bytes(4)), "data_offsets"),
    "offsets-three": (
        safetensors({"a": tensor([1], 4) | {"data_offsets": [0, 4, 4]}}, bytes(4)),
        "must have 4 bytes",
    ),
    "metadata-numbers": (safetensors({"__metadata__": {"a": 1}}), "object of strings"),
    "name-a-path": (safetensors({"../../x": tensor([1], 4)}, bytes(4)), "'../../x' must have a"),
    "name-two-lines": (safetensors({"a\nb": tensor([1], 4)}, bytes(4)), "must have a name"),
    "name-empty": (safetensors({"": tensor([1], 4)}, bytes(4)), "must have a name"),
    "name-long": (safetensors({"a" * 9999: tensor([1], 4)}, bytes(4)), "must have a name"),
    "value-nan": (safetensors({"a": tensor([1], 4)}, b"\0\0\xc0\x7f"), "a must be finite"),
}


@pytest.mark.parametrize("case", TENSOR_FILES)
def test_refuses_tensors(model: Path, case: str) -> None:
    data, message = TENSOR_FILES[case]
    (model / "model.safetensors").write_bytes(data)
    assert message in refused(model)


CONFIG_FILES: dict[str, tuple[object, str]] = {
    "empty": (b"", "config.json"),
    "not-json": (b"cell = lstm", "config.json"),
    "not-unicode": (b'{"a": "\xff"}', "is not Unicode text"),
    "half-a-letter": (b'{"format": "\\ud800"}', "is not Unicode text"),
    "a-list": ([CONFIG], "must hold one JSON object"),
    "deep": (b"[" * 200_000, "nested too deeply"),
    "large": (b" " * ((1 << 20) + 1), "holds 1048577 bytes, at most 1048576 are accepted"),
    "key-twice": (b'{"format": "elman", "format": "elman"}', "same key twice"),
    "nan": (b'{"spec": NaN}', "holds NaN, which is not JSON"),
    "infinite": (b'{"spec": -Infinity}', "holds -Infinity, which is not JSON"),
    "overflow": (b'{"spec": 1e999}', "number too large"),
    "long-integer": (b'{"spec": ' + b"9" * 10_000 + b"}", "config.json"),
    "other-program": ({"model_type": "bert"}, "belongs to another program"),
    "format-a-list": (CONFIG | {"format": ["elman"]}, "belongs to another program"),
    "version-later": (CONFIG | {"version": 2}, "must have version 1, found 2"),
    "version-true": (CONFIG | {"version": True}, "must have version 1, found True"),
    "version-float": (CONFIG | {"version": 1.0}, "must have version 1, found 1.0"),
    "version-long": (CONFIG | {"version": "9" * 9999}, "must have version 1, found '999"),
    "key-missing": ({"format": "elman", "version": 1, "task": "text"}, "check 'spec'"),
    "key-unknown": (CONFIG | {"\x1b[2J": 1}, "no other; check"),
    "task-number": (CONFIG | {"task": 3}, "task must be a name in small letters, found 3"),
    "task-path": (CONFIG | {"task": "../os"}, "found '../os'"),
    "task-two-lines": (CONFIG | {"task": "text\n"}, "task must be a name"),
    "spec-list": (CONFIG | {"spec": []}, "spec must be an object"),
}


@pytest.mark.parametrize("case", CONFIG_FILES)
def test_refuses_config(model: Path, case: str) -> None:
    content, message = CONFIG_FILES[case]
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (model / "config.json").write_bytes(data)
    assert message in refused(model)


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"a": 1, "a": 1}', b"\xff", b"[" * 9999])
def test_refuses_tokenizer(model: Path, data: bytes) -> None:
    (model / "tokenizer.json").write_bytes(data)
    assert "tokenizer.json" in refused(model)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "README.md"])
def test_refuses_files_that_are_too_large(model: Path, name: str) -> None:
    """The size is looked at before a byte is read: this file would not fit into memory."""
    os.truncate(model / name, 1 << 40)
    assert f"{name} holds 1099511627776 bytes" in refused(model)


def test_readme_is_text(model: Path) -> None:
    (model / "README.md").write_bytes(b"\xff")
    assert "README.md is not Unicode text" in refused(model)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize(
    "place",
    [
        pytest.param(os.mkfifo, id="pipe"),
        pytest.param(os.mkdir, id="folder"),
        pytest.param(lambda path: os.symlink("/dev/zero", path), id="device"),
        pytest.param(lambda path: os.symlink("nowhere", path), id="dangling"),
    ],
)
def test_refuses_what_is_no_file(model: Path, name: str, place: Callable[[Path], Any]) -> None:
    (model / name).unlink()
    place(model / name)
    assert name in refused(model)


@pytest.mark.parametrize("place", ["loop", "socket"])
def test_refuses_what_cannot_be_opened(model: Path, place: str) -> None:
    path = model / "config.json"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        if place == "loop":
            path.symlink_to("config.json")
        else:
            server.bind(os.path.relpath(path))
        with pytest.raises(StorageError) as caught:
            modelfile.read(model)
    assert str(caught.value).isprintable()
    assert caught.value.exit_code == 74


def test_follows_links_to_files(model: Path, tmp_path: Path) -> None:
    """Caches of downloaded models are made of links."""
    (model / "model.safetensors").rename(tmp_path / "blob")
    (model / "model.safetensors").symlink_to("../blob")
    np.testing.assert_array_equal(modelfile.read(model).tensors["w"], np.ones(3))


def test_says_what_is_missing(model: Path, tmp_path: Path) -> None:
    assert "there is none; check the path" in refused(tmp_path / "nothing")
    assert "there is none" in refused(tmp_path / "nul\0")
    assert "found a file" in refused(model / "config.json")
    assert "config.json is missing; give a model folder" in refused(tmp_path)
    (model / "model.safetensors").unlink()
    assert "must hold the file model.safetensors, found none" in refused(model)


def test_tokenizer_and_readme_may_be_absent(model: Path) -> None:
    (model / "tokenizer.json").unlink()
    (model / "README.md").unlink()
    found = modelfile.read(model)
    assert (found.tokenizer, found.readme) == (None, "")


def test_a_path_of_two_lines_gives_one_line(tmp_path: Path) -> None:
    assert "two lines" in refused(tmp_path / "two\nlines")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_damage_gives_a_model_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fuzz") / "model"
    modelfile.write(
        folder, task="text", spec={"a": [1]}, tensors={"w": np.ones(3)}, tokenizer={}, readme=""
    )
    path = folder / data.draw(st.sampled_from(["config.json", "model.safetensors"]))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        found = modelfile.read(folder)
    except ElmanError as error:
        assert str(error).isprintable()
    else:
        assert np.isfinite(np.concatenate([v.ravel() for v in found.tensors.values()])).all()
