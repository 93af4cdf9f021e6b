"""A run folder: ``config.toml · metrics.jsonl · checkpoints/ · last · best/ · plots/``."""

from dataclasses import dataclass
from pathlib import Path

from elman.config import MAX_BYTES, Sections, difference, read_toml, write_toml
from elman.errors import UsageError
from elman.storage import read_file, storage, write_file

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

    def open(self, config: Sections) -> bool:
        """Make the folder for this configuration; True if it is there, with the same one.

        Raises UsageError if the folder holds a run with another configuration, or something else.
        """
        with storage("open run", self.path):
            if self.config.is_file():
                return self._same(config)
            if self.path.exists() and any(self.path.iterdir()):
                raise UsageError(
                    "open run",
                    f"{self.path} must be new, empty or a run, found other files in it; "
                    "choose another --out",
                )
            self.path.mkdir(parents=True, exist_ok=True)
            write_file(self.config, write_toml(config).encode())
        return False

    def _same(self, config: Sections) -> bool:
        old = {"": read_toml(self.config)}
        changed = difference(old, config, UNIMPORTANT)
        if changed:
            raise UsageError(
                "open run",
                f"{self.path} holds a run with another configuration ({'; '.join(changed)}); "
                "give the same options to resume it, or another --out",
            )
        return True

    def configuration(self) -> str:
        """Return the text of ``config.toml``."""
        with storage("open run", self.config):
            return read_file(self.config, MAX_BYTES).decode("utf-8", "replace")
