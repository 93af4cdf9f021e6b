"""The run folder: whose it is, and that nothing else is touched."""

import pytest

from elman.config import plain
from elman.errors import StorageError, UsageError
from elman.modelfile.text import TextModelSpec
from elman.tasks.text.config import DataConfig
from elman.train.config import TrainingConfig
from elman.train.run import RunFolder


def sections(**training):
    configs = {
        "data": DataConfig(files=("a.txt", 'with "quotes" \x7f.txt'), digest="ab"),
        "model": TextModelSpec(tie=True, embedding=256),
        "training": TrainingConfig(**training),
    }
    return plain(configs)


def test_a_new_folder_is_kept_and_known_again(tmp_path):
    run = RunFolder(tmp_path / "deep" / "run")
    with run.lock():
        run.check(sections())
        run.keep(sections())
        run.check(sections())
        moved = sections()
        moved["data"]["files"] = ["elsewhere.txt"]
        run.check(moved)


def test_differences_are_named(tmp_path):
    run = RunFolder(tmp_path / "run")
    with run.lock():
        run.keep(sections(seed=1, lr=0.5))
        with pytest.raises(UsageError, match=r"\(lr: 0\.5 -> 0\.25; seed: 1 -> 2\)"):
            run.check(sections(seed=2, lr=0.25))


def test_what_a_refused_attempt_left_is_removed_and_nothing_else(tmp_path):
    run = RunFolder(tmp_path)
    run.tokens.mkdir()
    (run.tokens / "train.npy").write_bytes(b"old")
    run.check(sections())
    assert not run.tokens.exists()
    (tmp_path / "diary.txt").write_text("mine")
    run.tokens.mkdir()
    with pytest.raises(UsageError, match=r"found diary\.txt in it"):
        run.check(sections())
    assert run.tokens.exists()


def test_one_process_at_a_time(tmp_path):
    run = RunFolder(tmp_path / "run")
    with run.lock(), pytest.raises(UsageError, match="another process"), run.lock():
        pass
    with run.lock():
        pass


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file/run"), RunFolder(tmp_path / "file" / "run").lock():
        pass
