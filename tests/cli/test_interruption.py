"""Stopped or killed at any moment, then run again: the same weights to the last bit."""

import hashlib
import random
import shutil
import signal
import time

import pytest

pytestmark = pytest.mark.commands


def weights(run):
    return hashlib.sha256((run / "best" / "model.safetensors").read_bytes()).hexdigest()


def last_checkpoint(run):
    name = (run / "last").read_text().strip()
    folder = run / "checkpoints" / name
    return hashlib.sha256((folder / "tensors.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def command(book):
    return (
        "train", "text", book, "--hidden", 32, "--window", 10, "--batch", 4, "--epochs", 4,
        "--dropout", 0.3, "--recurrent-dropout", 0.1, "--zoneout", 0.05, "--schedule", "plateau",
        "--checkpoint-seconds", 0.3,
    )  # fmt: skip


def follow(process, deadline=120):
    _, err = process.communicate(timeout=deadline)
    return process.returncode, err


def test_ten_kills_leave_no_trace(home, start, command):
    begun = time.monotonic()
    code, err = follow(start(*command, "--out", "whole"))
    took = time.monotonic() - begun
    assert code == 0, err
    moments = random.Random(20)
    killed = 0
    for _ in range(10):
        process = start(*command, "--out", "killed")
        time.sleep(moments.uniform(0.2, 0.8) * took)
        process.send_signal(signal.SIGKILL)
        killed += process.wait(timeout=60) == -signal.SIGKILL
    code, err = follow(start(*command, "--out", "killed"))
    assert code == 0, err
    assert killed >= 2  # later ones may find the run finished
    assert weights(home / "killed") == weights(home / "whole")
    assert last_checkpoint(home / "killed") == last_checkpoint(home / "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_saves_and_says_how_to_resume(home, start, command, number):
    assert follow(start(*command, "--out", "whole"))[0] == 0
    process = start(*command, "--out", "stopped")
    while "step" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(number)
    code, err = follow(process)
    assert code == 128 + number
    assert "Stopped at step" in err.strip().splitlines()[-1]
    assert "the same command goes on" in err
    assert "Traceback" not in err
    code, err = follow(start(*command, "--out", "stopped"))
    assert (code, "Going on from step" in err) == (0, True)
    assert weights(home / "stopped") == weights(home / "whole")
    assert last_checkpoint(home / "stopped") == last_checkpoint(home / "whole")


def test_a_damaged_checkpoint_is_passed_over(home, start, command):
    assert follow(start(*command, "--out", "whole"))[0] == 0
    shutil.copytree("whole", "hurt")
    newest = sorted((home / "hurt" / "checkpoints").iterdir())[-1]
    (newest / "tensors.safetensors").write_bytes(b"rubbish")
    code, err = follow(start(*command, "--out", "hurt"))
    assert code == 0, err
    assert f"{newest.name} is damaged" in err
    assert last_checkpoint(home / "hurt") == last_checkpoint(home / "whole")


def test_two_trainings_do_not_share_a_folder(home, start, command):
    first = start(*command, "--out", "run", "--epochs", 50)
    while "step" not in first.stderr.readline():
        assert first.poll() is None
    code, err = follow(start(*command, "--out", "run", "--epochs", 50))
    assert code == 2
    assert "another process" in err


def test_a_full_disk_ends_in_one_line_and_keeps_the_last_checkpoint(home, start, command):
    """A limit on the size of files stands for the disk: writing fails as on a full one."""
    import resource

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    assert follow(start(*command, "--out", "whole"))[0] == 0
    process = start(*command, "--out", "full", preexec_fn=small_files)
    code, err = follow(process)
    last = err.strip().splitlines()[-1]
    assert code == 74
    assert last.startswith("[")
    assert "File too large" in last
    assert "Traceback" not in err
    code, err = follow(start(*command, "--out", "full"))
    assert code == 0, err
    assert weights(home / "full") == weights(home / "whole")
