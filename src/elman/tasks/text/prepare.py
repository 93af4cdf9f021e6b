"""From a corpus to token arrays in the run folder."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elman.encode import text as encode
from elman.encode.text import Vocabulary
from elman.errors import DataError
from elman.modelfile.folder import LIMITS, TOKENIZER
from elman.storage import read_file, storage, write_file
from elman.tasks.text import corpus
from elman.tasks.text.config import SIZED, DataConfig
from elman.tasks.text.tokens import load_tokens, save_tokens


@dataclass(frozen=True, slots=True)
class Corpus:
    """The text of a run, cut in two."""

    train: str
    validation: str

    @property
    def digest(self) -> str:
        """SHA-256 of both parts."""
        parts = (self.train, self.validation)
        digests = b"".join(hashlib.sha256(part.encode()).digest() for part in parts)
        return hashlib.sha256(digests).hexdigest()


def read_corpus(config: DataConfig) -> Corpus:
    """Read the files, bring them to NFC, and hold out the end, or the validation file."""
    text = encode.normalise(corpus.read(config.files))
    if config.validation:
        return Corpus(text, encode.normalise(corpus.read([config.validation])))
    cut = int(len(text) * (1 - config.held_out))
    return Corpus(text[:cut], text[cut:])


@dataclass(frozen=True, slots=True)
class Tokens:
    """What training needs of a corpus: token arrays on disk and their vocabulary."""

    train: NDArray[np.integer]
    validation: NDArray[np.integer]
    vocabulary: Vocabulary
    characters_per_token: float


def tokens_of(corpus: Corpus, config: DataConfig, folder: Path) -> Tokens:
    """Tokenise into ``folder``, or take what an earlier call left there whole.

    The alphabet is that of the whole corpus; words and merges are counted in its training part.
    """
    paths = folder / "train.npy", folder / "validation.npy"
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.exists():
        vocabulary = _build(corpus, config)
        parts = (corpus.train, corpus.validation)
        for path, part in zip(paths, parts, strict=True):
            save_tokens(path, vocabulary.encode(part))
        with storage("save tokens", tokenizer):  # last: its presence says that all is there
            write_file(tokenizer, json.dumps(vocabulary.to_json()).encode())
    vocabulary = _load(tokenizer)
    train, validation = (load_tokens(path) for path in paths)
    if len(validation) < 2:
        raise DataError(
            "train text",
            f"the validation text must have two tokens, found {len(validation)}; give more text",
        )
    return Tokens(train, validation, vocabulary, len(corpus.train) / max(len(train), 1))


def _build(corpus: Corpus, config: DataConfig) -> Vocabulary:
    texts = [corpus.train] if config.level in SIZED else [corpus.train, corpus.validation]
    return encode.build(config.level, texts, size=config.vocabulary or None)


def _load(path: Path) -> Vocabulary:
    with storage("load tokens", path):
        try:
            return encode.from_json(json.loads(read_file(path, LIMITS[TOKENIZER])))
        except ValueError as error:
            raise DataError("load tokens", f"{path}: {error}; start a new run") from None
