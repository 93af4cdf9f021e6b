"""Stopped or killed at any moment, then run again: the same weights to the last bit."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.commands


def weights(run):
    return hashlib.sha256((run / "best" / "model.safetensors").read_bytes()).hexdigest()


def last_checkpoint(run):
    name = (run / "last").read_text().strip()
    folder = run / "checkpoints" / name
    return hashlib.sha256((folder / "tensors.safetensors").read_bytes()).hexdigest()


COMMAND = (
    "--hidden", 32, "--window", 10, "--batch", 16, "--epochs", 4, "--dropout", 0.3,
    "--recurrent-dropout", 0.1, "--zoneout", 0.05, "--schedule", "plateau",
    "--checkpoint-seconds", 0.2,
)  # fmt: skip


@pytest.fixture
def command(book):
    return ("train", "text", book, *COMMAND)


@pytest.fixture(scope="module")
def whole(book, tmp_path_factory):
    """The run that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    command = [sys.executable, "-m", "elman", "train", "text", book, *COMMAND, "--out", out]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([str(each) for each in command], env=environment, check=True, timeout=600)
    return out


def assert_same(run, whole):
    assert weights(run) == weights(whole)
    assert last_checkpoint(run) == last_checkpoint(whole)


def follow(process, deadline=600):
    _, err = process.communicate(timeout=deadline)
    return process.returncode, err


@pytest.mark.timeout(1200)
def test_ten_kills_leave_no_trace(home, start, command):
    """Each of the ten comes at a random moment of training, and finds it unfinished."""
    command = (*command, "--epochs", 14, "--evaluate-every", 150)
    code, err = follow(start(*command, "--out", "whole"))
    assert code == 0, err
    end = (home / "whole" / "last").read_text()
    moments = random.Random(20)
    for _ in range(10):
        process = start(*command, "--out", "killed")
        while "step" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(moments.uniform(0, 0.8))
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=60) == -signal.SIGKILL
        last = home / "killed" / "last"
        assert not last.exists() or last.read_text() != end
    code, err = follow(start(*command, "--out", "killed"))
    assert code == 0, err
    assert "Going on from step" in err
    assert_same(home / "killed", home / "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_saves_and_says_how_to_resume(home, start, command, whole, number):
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
    assert_same(home / "stopped", whole)


def test_a_damaged_checkpoint_is_passed_over(home, start, command, whole):
    shutil.copytree(whole, "hurt")
    newest = sorted((home / "hurt" / "checkpoints").iterdir())[-1]
    (newest / "tensors.safetensors").write_bytes(b"rubbish")
    code, err = follow(start(*command, "--out", "hurt"))
    assert code == 0, err
    assert f"{newest.name} is damaged" in err
    assert_same(home / "hurt", whole)


def test_two_trainings_do_not_share_a_folder(home, start, command):
    first = start(*command, "--out", "run", "--epochs", 50)
    while "step" not in first.stderr.readline():
        assert first.poll() is None
    code, err = follow(start(*command, "--out", "run", "--epochs", 50))
    assert code == 2
    assert "another process" in err


def test_a_full_disk_ends_in_one_line_and_keeps_the_last_checkpoint(home, start, command, whole):
    """A limit on the size of files stands for the disk: writing fails as on a full one."""
    import resource

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    process = start(*command, "--out", "full", preexec_fn=small_files)
    code, err = follow(process)
    last = err.strip().splitlines()[-1]
    assert code == 74
    assert last.startswith("[")
    assert "File too large" in last
    assert "Traceback" not in err
    code, err = follow(start(*command, "--out", "full"))
    assert code == 0, err
    assert_same(home / "full", whole)
