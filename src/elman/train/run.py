"""The folder of a run: ``config.toml tokens/ metrics.jsonl checkpoints/ last best/ plots/``."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from elman.config import Sections, difference, read_toml, write_toml
from elman.errors import UsageError
from elman.storage import storage, write_file

# Where the text came from may change; what it is may not, and its digest tells.
UNIMPORTANT = frozenset({"files", "validation"})


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The places of a run."""

    path: Path

    @property
    def config(self) -> Path:
        """How the run was configured."""
        return self.path / "config.toml"

    @property
    def tokens(self) -> Path:
        """What it learns from, as token arrays."""
        return self.path / "tokens"

    @property
    def metrics(self) -> Path:
        """What it measured, a line a measurement."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Where training goes on from."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The model folder with the best validation loss."""
        return self.path / "best"

    @property
    def curve(self) -> Path:
        """The learning curve."""
        return self.path / "plots" / "loss.png"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Make the folder and keep other processes from training in it.

        Raises UsageError if one already does. The system lets go of the lock when the process
        ends, however it ends.
        """
        with storage("open run", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            folder = os.open(self.path, os.O_RDONLY)
        try:
            self._take(folder)
            yield
        finally:
            os.close(folder)

    def check(self, config: Sections) -> None:
        """Raise UsageError if the folder holds a run with another configuration, or anything else.

        What an attempt left that never began to train is removed.
        """
        with storage("open run", self.path):
            if self.config.is_file():
                self._compare(config)
            elif foreign := {each.name for each in self.path.iterdir()} - {self.tokens.name}:
                raise UsageError(
                    "open run",
                    f"{self.path} must be new, empty or a run, found {sorted(foreign)[0]} in it; "
                    "choose another --out",
                )
            else:
                shutil.rmtree(self.tokens, ignore_errors=True)

    def keep(self, config: Sections) -> None:
        """Write the configuration: from now on the folder is this run's."""
        with storage("open run", self.path):
            write_file(self.config, write_toml(config).encode())

    def _take(self, folder: int) -> None:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                "open run",
                f"{self.path} is being trained by another process; wait, or choose another --out",
            ) from None

    def _compare(self, config: Sections) -> None:
        changed = difference({"": read_toml(self.config)}, config, UNIMPORTANT)
        if changed:
            raise UsageError(
                "open run",
                f"{self.path} holds a run with another configuration ({'; '.join(changed)}); "
                "give the same options to resume it, or another --out",
            )
