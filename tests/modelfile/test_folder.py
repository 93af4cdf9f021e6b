"""A model folder comes back as it was written, and is never half of one."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from elman.errors import ModelError, StorageError, UsageError
from elman.modelfile import ModelFolder, check_tensors, read, write
from elman.storage import previous

SPEC = {"cell": "lstm", "hidden_size": 5, "vocabulary": ["a", "é", "\n"], "scale": 0.1 + 0.2}


def tensors(seed: int = 0) -> dict[str, Any]:
    """One array of each kind that the format has, odd sizes."""
    draw = np.random.default_rng(seed).standard_normal
    return {
        "rnn.weight_ih_l0": draw((7, 3)).astype(np.float32),
        "rnn.bias_ih_l0": draw(7),
        "half": draw((2, 3, 5)).astype(np.float16),
        "scale": np.array(draw()),
    }


def save(folder: Path, seed: int = 0, **changes: Any) -> None:
    """Write a small model; the seed tells two apart."""
    content = {"task": "text", "spec": SPEC, "tensors": tensors(seed), "tokenizer": None}
    write(folder, **(content | {"readme": f"# {seed}\n"} | changes))


def assert_model(found: ModelFolder, seed: int) -> None:
    assert (found.task, found.spec, found.readme) == ("text", SPEC, f"# {seed}\n")
    assert found.tensors.keys() == tensors(seed).keys()
    for name, array in tensors(seed).items():
        assert found.tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(found.tensors[name], array, strict=True)


def test_reads_what_was_written(tmp_path: Path) -> None:
    tokenizer = {"model": {"vocab": {"é": 0, "b": 1}}}
    save(tmp_path / "deep" / "model", 3, tokenizer=tokenizer)
    found = read(tmp_path / "deep" / "model")
    assert_model(found, 3)
    assert found.tokenizer == tokenizer


def test_files_are_those_of_the_format(tmp_path: Path) -> None:
    """Read independently of elman: this is the contract with other programs."""
    save(tmp_path / "m", tokenizer={})
    assert sorted(os.listdir(tmp_path)) == ["m"]
    names = ["README.md", "config.json", "model.safetensors", "tokenizer.json"]
    assert sorted(os.listdir(tmp_path / "m")) == names
    config = json.loads((tmp_path / "m" / "config.json").read_text("utf-8"))
    assert config == {"format": "elman", "version": 1, "task": "text", "spec": SPEC}
    stored = load_file(tmp_path / "m" / "model.safetensors")
    np.testing.assert_array_equal(stored["half"], tensors()["half"], strict=True)


def test_what_was_read_is_constant_and_not_copied(tmp_path: Path) -> None:
    save(tmp_path / "m")
    found = read(tmp_path / "m").tensors["rnn.bias_ih_l0"]
    assert isinstance(found, np.ndarray) and not found.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        found += 1


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(np.arange(6.0).reshape(2, 3).T, id="transposed"),
        pytest.param(np.arange(12.0)[::-2], id="strided"),
        pytest.param(np.arange(5).astype(">f4"), id="big-endian"),
    ],
)
def test_memory_layout_does_not_matter(tmp_path: Path, array: np.ndarray[Any, Any]) -> None:
    save(tmp_path / "m", tensors={"w": array})
    np.testing.assert_array_equal(read(tmp_path / "m").tensors["w"], array)


def test_same_model_gives_same_bytes(tmp_path: Path) -> None:
    save(tmp_path / "a")
    save(tmp_path / "b", tensors=dict(reversed(tensors().items())))
    for name in ("config.json", "model.safetensors", "README.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_replaces_a_model_whole(tmp_path: Path) -> None:
    save(tmp_path / "m", 0, tokenizer={"old": True})
    save(tmp_path / "m", 1)
    assert_model(read(tmp_path / "m"), 1)
    assert read(tmp_path / "m").tokenizer is None
    assert os.listdir(tmp_path) == ["m"]


def test_replaces_the_target_of_a_link(tmp_path: Path) -> None:
    save(tmp_path / "m", 0)
    (tmp_path / "link").symlink_to("m")
    save(tmp_path / "link", 1)
    assert (tmp_path / "link").is_symlink()
    assert_model(read(tmp_path / "m"), 1)


def test_never_replaces_a_folder_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"also holds thesis\.tex; choose a new folder"):
        save(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_reads_the_old_model_after_a_kill_between_the_renames(tmp_path: Path) -> None:
    save(tmp_path / "m", 4)
    (tmp_path / "m").rename(previous(tmp_path / "m"))
    assert_model(read(tmp_path / "m"), 4)
    save(tmp_path / "m", 5)
    assert_model(read(tmp_path / "m"), 5)
    assert os.listdir(tmp_path) == ["m"]


# Every call that can meet a full disk: four files or folders are flushed, then the parent.
CALLS = [("fsync", 0), ("fsync", 1), ("fsync", 2), ("fsync", 3), ("fsync", 4)]
CALLS += [("rename", 0), ("rename", 1), ("mkdir", 1)]


@pytest.mark.parametrize(("name", "call"), CALLS)
def test_full_disk_leaves_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, call: int
) -> None:
    save(tmp_path / "m", 0)
    true, calls = getattr(os, name), iter(range(1000))

    def fail(*arguments: Any, **options: Any) -> Any:
        if next(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")
        return true(*arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(StorageError) as caught:
        patch.setattr(os, name, fail)
        save(tmp_path / "m", 1)
    reason = "No space left on device; free some space or choose another disk"
    assert str(caught.value) == f"[save] {tmp_path / 'm'}: {reason}"
    # When the parent is flushed, the new model is already in place.
    too_late = (name, call) == ("fsync", 4)
    assert_model(read(tmp_path / "m"), int(too_late))
    assert too_late or os.listdir(tmp_path) == ["m"]
    save(tmp_path / "m", 2)
    assert_model(read(tmp_path / "m"), 2)
    assert os.listdir(tmp_path) == ["m"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"task": "Text"}, "task must be a name", id="task"),
        pytest.param({"spec": {"x": float("nan")}}, "config.json must be strict JSON", id="nan"),
        pytest.param({"spec": {"x": {1}}}, "config.json must be strict JSON", id="set"),
        pytest.param({"spec": {"x": "\ud800"}}, "config.json must be strict", id="surrogate"),
        pytest.param({"spec": {"x": "y" * (1 << 20)}}, "at most 1048576 fit", id="large"),
        pytest.param({"tensors": {"a b": np.ones(1)}}, "'a b' must have a name", id="name"),
        pytest.param({"tensors": {"a": np.ones(1, int)}}, "one of F64, F32, F16", id="dtype"),
        pytest.param({"tensors": {"a": np.ones((2, 0))}}, "must not be empty", id="empty"),
        pytest.param({"tensors": {"a": np.ones([1] * 9)}}, "at most 8 axes", id="axes"),
        pytest.param({"tensors": {"a": np.array([1, np.inf])}}, "must be finite", id="infinite"),
    ],
)
def test_refuses_to_write_what_it_would_not_read(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        save(tmp_path / "m", **changes)
    assert os.listdir(tmp_path) == []


SHAPES: dict[str, tuple[int, ...]] = {"w": (3, 2), "b": (3,)}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        pytest.param({"w": (3, 2)}, r"tensor b \(3,\) is missing", id="missing"),
        pytest.param(
            {"w": (2, 3), "b": (3,)}, r"w must have shape \(3, 2\), found \(2, 3\)", id="shape"
        ),
        pytest.param({**SHAPES, "c": (1,)}, "tensor c is not expected", id="unexpected"),
    ],
)
def test_check_tensors_names_the_first_misfit(
    found: dict[str, tuple[int, ...]], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        check_tensors({name: np.zeros(shape) for name, shape in found.items()}, SHAPES)


def test_check_tensors_accepts_any_order() -> None:
    check_tensors({"b": np.zeros(3), "w": np.zeros((3, 2))}, SHAPES)
