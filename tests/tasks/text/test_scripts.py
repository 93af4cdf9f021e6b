"""Fourteen scripts, and Russian and Chinese books: learned, completed, never mangled."""

import io
import os
import unicodedata
from pathlib import Path

import pytest
import torch
from rich.console import Console

from elman.decode.sample import generate
from elman.decode.suggest import suggest
from elman.modelfile.text import TextModelSpec
from elman.runtime import load
from elman.tasks.text import corpus
from elman.tasks.text.config import DataConfig
from elman.tasks.text.prepare import Corpus, tokens_of
from elman.tasks.text.task import TextTask
from elman.train.config import TrainingConfig
from elman.train.loop import Trainer
from elman.train.progress import Progress
from elman.train.run import RunFolder

DATA = Path(os.environ.get("ELMAN_DATA", "/nonexistent")) / "text"
FILES = sorted(DATA.glob("unicode_*/*.txt"))
LEVELS = ("byte", "character", "word", "bpe")

pytestmark = pytest.mark.commands


def learn(text, level, folder):
    """Read the text once, but for its end; return the model that was kept."""
    whole = Corpus(text[:-200], text[-200:])
    config = DataConfig(level=level, window=16, batch=4)
    tokens = tokens_of(whole, config, folder / "tokens")
    torch.manual_seed(0)
    task = TextTask(tokens, config, TextModelSpec(hidden=16), torch.device("cpu"))
    trainer = Trainer(task, TrainingConfig(epochs=1, warmup=5), RunFolder(folder))
    with Progress(Console(file=io.StringIO()), total=1, epochs=1) as progress:
        trainer.train(progress)
    return load(folder / "best").predictor()


@pytest.mark.skipif(not FILES, reason="needs the texts in $ELMAN_DATA/text/unicode_*, found none")
@pytest.mark.parametrize("number", range(19), ids=[f.stem for f in FILES] if FILES else None)
def test_no_character_is_mangled(tmp_path, number):
    assert len(FILES) == 19
    text = unicodedata.normalize("NFC", corpus.read([str(FILES[number])]))[:6000]
    level = LEVELS[number % 4]
    predictor = load_and_check_round_trip(text, level, tmp_path)
    known = set(text) | {"\n", " "}
    for start in (text[600:630], text[900:931], text[1200:1233]):
        written = "".join(generate(predictor, start, length=60, seed=number))
        assert "\ufffd" not in written
        assert level == "byte" or set(written) <= known
        found = suggest(predictor, start, 3)
        for suggestion in (*found.completions, *found.next_words):
            assert "\ufffd" not in suggestion.text
            assert unicodedata.normalize("NFC", suggestion.text) == suggestion.text
            assert level == "byte" or set(suggestion.text) <= known


def load_and_check_round_trip(text, level, folder):
    predictor = learn(text, level, folder)
    vocabulary = predictor.vocabulary
    learned = text[:-200]
    assert vocabulary.decode(vocabulary.encode(learned)) == learned
    return predictor
