"""Find the model that a command is asked to use."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from elman.errors import ModelError

if TYPE_CHECKING:
    from elman.encode.text import Vocabulary
    from elman.runtime import TextModel

MAX_TYPED = 1 << 20  # bytes


def model_folder(path: Path) -> Path:
    """Return the model folder that ``path`` is, or the ``best/`` of the run that it is.

    Raises ModelError if there is neither.
    """
    if (path / "best").is_dir():
        return path / "best"
    if (path / "config.toml").is_file():
        raise ModelError(
            "load model",
            f"{path} is a run without a model yet, its first evaluation makes one; "
            "run the same elman train again",
        )
    return path


def load_text(path: Path) -> "TextModel":
    """Load the text model of a run or model folder. ModelError if it is of another task."""
    from elman.runtime import TextModel, load

    model = load(model_folder(path))
    if not isinstance(model, TextModel):
        raise ModelError("load model", f"{path} must hold a text model, found {model.task!r}")
    return model


def held_out(run: Path, vocabulary: "Vocabulary") -> str:
    """Return the text that a run keeps for validation. ModelError if ``run`` is no run folder."""
    from elman.tasks.text.tokens import load_tokens

    tokens = run / "tokens" / "validation.npy"
    if not tokens.is_file():
        raise ModelError(
            "evaluate", f"{run} keeps no text of its own, as only runs do; name a FILE to score"
        )
    return vocabulary.decode(load_tokens(tokens))


def typed_text(text: str) -> str:
    """Return an argument, or standard input for "-", as valid Unicode; DataError if it is not."""
    if text == "-":
        data = sys.stdin.buffer.read(MAX_TYPED)
        text = data.decode("utf-8", "surrogateescape").removesuffix("\n")
    from elman.encode.text import normalise

    return normalise(text)
