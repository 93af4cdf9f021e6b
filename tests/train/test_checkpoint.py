"""Checkpoints come back bit for bit, and no kill, full disk or damage loses the last good one."""

import errno
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from elman.errors import ModelError, StorageError, UsageError
from elman.train.checkpoint import Checkpoint, flatten, load_latest, save, unflatten


def tensors(seed: int) -> dict[str, torch.Tensor]:
    """Kinds a checkpoint has to hold, among them tied, strided and empty ones."""
    random = torch.Generator().manual_seed(seed)
    weight = torch.randn(3, 5, generator=random)
    return {
        "weight": weight,
        "tied": weight,
        "transposed": weight.T,
        "double": torch.randn(7, generator=random, dtype=torch.float64),
        "brain": torch.randn(3, generator=random).bfloat16(),
        "scalar": torch.tensor(seed),
        "nan": torch.tensor([math.nan, -0.0, math.inf]),
        "empty": torch.zeros(0, 3),
        "generator": random.get_state(),
        "trained": torch.nn.Parameter(torch.ones(2)),
    }


def state(seed: int) -> dict[str, Any]:
    return {"seed": seed, "best": math.inf, "third": 1 / 3, "huge": 2**127 + seed}


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Bit for bit, NaN and the sign of zero included."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    ours, theirs = (t.detach().contiguous().flatten().view(torch.uint8) for t in (found, expected))
    assert torch.equal(ours, theirs)


def assert_checkpoint(found: Checkpoint | None, step: int) -> None:
    assert found is not None
    assert (found.step, found.state) == (step, state(step))
    assert found.tensors.keys() == tensors(step).keys()
    for name, tensor in tensors(step).items():
        assert_same(found.tensors[name], tensor)


def put(folder: Path, *steps: int, keep: int = 2) -> None:
    for step in steps:
        save(folder, step, tensors(step), state(step), keep)


def no_waiting(handle: int) -> None:
    """In the place of ``os.fsync``: these tests kill processes, not the machine."""


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", no_waiting)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run" / "checkpoints"


def test_loads_what_was_saved(folder: Path) -> None:
    path = save(folder, 1234, tensors(1234), state(1234))
    found = load_latest(folder)
    assert_checkpoint(found, 1234)
    assert found is not None
    assert (found.path, found.skipped) == (path, [])
    assert path == folder / "step-000001234"
    assert (folder.parent / "last").read_text() == "step-000001234\n"
    assert sorted(os.listdir(path)) == ["manifest.json", "state.json", "tensors.safetensors"]


def test_nothing_there_is_none(folder: Path) -> None:
    assert load_latest(folder) is None
    folder.mkdir(parents=True)
    (folder / "notes.txt").touch()
    assert load_latest(folder) is None


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_keeps_the_newest(folder: Path, keep: int) -> None:
    put(folder, 3, 10, 200, 3000, keep=keep)
    names = [f"step-{step:09d}" for step in (3, 10, 200, 3000)]
    assert sorted(os.listdir(folder)) == names[-keep:]
    assert_checkpoint(load_latest(folder), 3000)


def test_saving_drops_the_future_that_was_given_up(folder: Path) -> None:
    put(folder, 10, 20)
    put(folder, 15)
    assert sorted(os.listdir(folder)) == ["step-000000010", "step-000000015"]
    assert_checkpoint(load_latest(folder), 15)


def test_saving_a_step_again_replaces_it(folder: Path) -> None:
    save(folder, 7, {}, {})
    put(folder, 7)
    assert_checkpoint(load_latest(folder), 7)
    assert os.listdir(folder) == ["step-000000007"]


def test_cleans_up_after_dead_runs(folder: Path) -> None:
    (folder / ".step-000000005.partial").mkdir(parents=True)
    (folder / ".step-000000004.previous").mkdir()
    put(folder, 6)
    assert os.listdir(folder) == ["step-000000006"]


def test_makes_room_before_it_writes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a full disk killed must not keep the disk full."""
    (folder / ".step-000000005.partial").mkdir(parents=True)
    monkeypatch.setattr(os, "mkdir", lambda *_: full())
    with pytest.raises(StorageError, match="No space left"):
        put(folder, 6)
    assert os.listdir(folder) == []


def test_finds_a_checkpoint_that_was_being_replaced(folder: Path) -> None:
    put(folder, 7)
    (folder / "step-000000007").rename(folder / ".step-000000007.previous")
    assert_checkpoint(load_latest(folder), 7)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "flipped": flip,
    "cut": lambda path: os.truncate(path, path.stat().st_size - 2),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b" "),
    "emptied": lambda path: os.truncate(path, 0),
    "huge": lambda path: os.truncate(path, 1 << 40),
    "missing": lambda path: path.unlink(),
    "deep": lambda path: path.write_bytes(b"[" * 60_000),
    "other": lambda path: path.write_bytes(b"[]"),
}
# A space after the manifest's JSON changes nothing that it says.
HARMLESS = ("manifest.json", "longer")
CASES = [
    (name, damage)
    for name in ("tensors.safetensors", "state.json", "manifest.json")
    for damage in DAMAGE
    if (name, damage) != HARMLESS
]


@pytest.mark.parametrize(("name", "damage"), CASES)
def test_passes_over_a_damaged_one(folder: Path, name: str, damage: str) -> None:
    put(folder, 1, 2)
    DAMAGE[damage](folder / "step-000000002" / name)
    found = load_latest(folder)
    assert_checkpoint(found, 1)
    assert found is not None
    assert len(found.skipped) == 1
    assert found.skipped[0].startswith("step-000000002 is damaged: ")
    assert found.skipped[0].isprintable()


def test_a_renamed_checkpoint_is_damaged(folder: Path) -> None:
    put(folder, 1)
    (folder / "step-000000001").rename(folder / "step-000000009")
    with pytest.raises(ModelError, match=r"no checkpoint in .* is whole: step-000000009 is dam"):
        load_latest(folder)


def test_all_damaged_is_one_line(folder: Path) -> None:
    put(folder, 1, 2)
    for path in folder.iterdir():
        flip(path / "state.json")
    with pytest.raises(ModelError) as caught:
        load_latest(folder)
    assert str(caught.value).isprintable()
    assert "step-000000002 is damaged: its files are not those manifest.json" in str(caught.value)


@contextmanager
def fault(calls: tuple[str, ...], number: int, strike: Callable[[], Any]) -> Iterator[list[str]]:
    """Within the block, ``strike`` instead of call ``number`` of those in ``os``; yield the calls.

    A write strikes after it has written half.
    """
    made: list[str] = []

    def faulty(name: str) -> Callable[..., Any]:
        true = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            made.append(name)
            if len(made) - 1 == number:
                if name == "write":
                    true(arguments[0], arguments[1][: len(arguments[1]) // 2])
                strike()
            return true(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in calls:
            patch.setattr(os, name, faulty(name))
        yield made


def full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


CALLS = ("open", "write", "fsync", "mkdir", "rename", "replace")


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("second", [2, 1], ids=["next-step", "same-step"])
def test_full_disk_at_every_call(tmp_path: Path, keep: int, second: int) -> None:
    """The save fails in one line and the old checkpoint stays, or the new one is there whole."""
    failures = []
    for number in range(100):
        folder = tmp_path / str(number) / "checkpoints"
        put(folder, 1, keep=keep)
        with fault(CALLS, number, full) as made:
            try:
                put(folder, second, keep=keep)
                failed = False
            except StorageError as error:
                failed = True
                failures.append(made[-1] if len(made) <= number else made[number])
                assert "No space left on device; free some space" in str(error)
        if len(made) <= number:
            break
        found = load_latest(folder)
        assert_checkpoint(found, found.step if found and failed else second)
        assert found is not None
        assert found.skipped == []
        put(folder, 3, keep=1)
        assert os.listdir(folder) == ["step-000000003"], f"left by call {number}, {made}"
    # Three files, the folder, its parent, then the file "last" and its folder.
    assert failures.count("fsync") == 7
    assert failures.count("write") == 4
    assert failures.count("rename") + failures.count("replace") == (2 if second == 2 else 3)


def test_read_only_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, 1)

    def refuse(*_: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch, pytest.raises(StorageError) as caught:
        patch.setattr(os, "mkdir", refuse)
        put(folder, 2)
    path = folder / "step-000000002"
    reason = "Read-only file system; choose a folder that can be written"
    assert str(caught.value) == f"[checkpoint] {path}: {reason}"
    assert_checkpoint(load_latest(folder), 1)


def test_short_writes_are_finished(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, data: true(handle, data[:7]))
        put(folder, 5)
    assert_checkpoint(load_latest(folder), 5)


def kill_everywhere(root: Path) -> int:
    """Kill a save before each of its calls in turn; return how many kills there were."""
    for number in range(200):
        folder = root / str(number) / "checkpoints"
        put(folder, 1, 2)
        child = os.fork()
        if child == 0:
            with fault((*CALLS, "unlink", "rmdir"), number, lambda: os._exit(9)):
                put(folder, 2, 3)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found = load_latest(folder)
        assert found is not None
        assert found.skipped == []
        assert_checkpoint(found, found.step)
        assert found.step == 3 if status == 0 else found.step in (2, 3)
        put(folder, 4, 5)
        assert sorted(os.listdir(folder)) == ["step-000000004", "step-000000005"]
        if status == 0:
            return number
    raise AssertionError("a save of two checkpoints takes fewer calls")


def test_killed_at_every_call(tmp_path: Path) -> None:
    """In a process of its own, because forking is safe only where there are no threads."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, __file__, tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40


@pytest.mark.parametrize("name", ["SGD", "AdamW", "RMSprop"])
def test_training_goes_on_exactly(folder: Path, name: str) -> None:
    """Weights, optimiser and random numbers after a resumption are those without one."""

    def start(seed: int) -> tuple[torch.nn.LSTM, torch.optim.Optimizer, torch.Generator]:
        torch.manual_seed(seed)
        net = torch.nn.LSTM(3, 5)
        kind = getattr(torch.optim, name)
        options = {} if name == "AdamW" else {"momentum": 0.9}
        return net, kind(net.parameters(), lr=0.1, **options), torch.Generator().manual_seed(seed)

    def train(net: torch.nn.LSTM, opt: torch.optim.Optimizer, random: torch.Generator) -> None:
        for _ in range(3):
            opt.zero_grad()
            net(torch.randn(7, 3, generator=random))[0].square().sum().backward()
            opt.step()

    net, opt, random = start(0)
    train(net, opt, random)
    tree = {"net": dict(net.state_dict()), "opt": opt.state_dict(), "random": random.get_state()}
    held, mirror = flatten(tree)
    save(folder, 3, held, {"tree": mirror})
    train(net, opt, random)

    found = load_latest(folder)
    assert found is not None
    restored = unflatten(found.tensors, found.state["tree"])
    other, other_opt, other_random = start(1)
    other.load_state_dict(restored["net"])
    other_opt.load_state_dict(restored["opt"])
    other_random.set_state(restored["random"])
    train(other, other_opt, other_random)
    for key, weight in net.state_dict().items():
        assert_same(other.state_dict()[key], weight)


def test_flatten_keeps_keys_tuples_and_bits() -> None:
    random = np.random.default_rng(3)
    tree: dict[Any, Any] = {
        0: {"0": 1 / 3, 0: (1, [2.0, None, True]), -1: "é\n"},
        "tensor": {"dict": [], "tuple": (), "__metadata__": -0.0},
        "numpy": random.bit_generator.state,
        "limits": [math.inf, 5e-324, 2**127, 1.7976931348623157e308],
    }
    held, mirror = flatten(tree)
    assert held == {}
    assert repr(unflatten({}, json.loads(json.dumps(mirror)))) == repr(tree)


def test_flatten_names_every_tensor_once() -> None:
    """Keys that look alike as text stay apart."""
    tree = {0: {"a/b": torch.tensor(1)}, "0": {"a": {"b": torch.tensor(2)}}, "": torch.tensor(3)}
    held, mirror = flatten(tree)
    assert list(held) == ["0000/0/a/b", "0001/0/a/b", "0002/"]
    assert unflatten(held, mirror) == tree


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"a": [{1}]}, "/a/0 must be a tensor or JSON, found <class 'set'>"),
        ({"a": np.float64(1)}, "/a must be a tensor or JSON, found <class 'numpy.float64'>"),
        ({True: 1}, "keys must be str or int, found True"),
        ({None: 1}, "keys must be str or int, found None"),
    ],
    ids=["set", "numpy", "bool-key", "none-key"],
)
def test_flatten_refuses(tree: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        flatten(tree)
    assert str(caught.value) == f"[checkpoint] {message}"


@pytest.mark.parametrize(
    "mirror",
    [{"tensor": "lost"}, {"tensor": []}, {"dict": 3}, {"dict": [[1]]}, {"odd": 1}, {"tuple": 1}],
    ids=str,
)
def test_unflatten_refuses(mirror: Any) -> None:
    with pytest.raises(ModelError, match="the state does not fit its tensors"):
        unflatten({}, [mirror])


def test_refuses_arguments(folder: Path) -> None:
    with pytest.raises(UsageError, match="found -1 and 2"):
        save(folder, -1, {}, {})
    with pytest.raises(UsageError, match="found 1 and 0"):
        save(folder, 1, {}, {}, keep=0)
    with pytest.raises(UsageError, match="the state must be JSON"):
        save(folder, 1, {}, {"x": {1}})
    assert not folder.exists()


if __name__ == "__main__":
    pytest.MonkeyPatch().setattr(os, "fsync", no_waiting)
    print(kill_everywhere(Path(sys.argv[1])))
