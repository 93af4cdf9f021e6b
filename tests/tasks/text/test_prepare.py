"""From files to tokens: the corpus, the part held out, the vocabulary."""

import numpy as np
import pytest

from elman.errors import DataError
from elman.runtime import load
from elman.tasks.text import corpus
from elman.tasks.text.config import DataConfig
from elman.tasks.text.prepare import Corpus, read_corpus, tokens_of
from elman.tasks.text.task import TextTask


def test_files_are_joined_line_ends_and_marks_are_cleaned(tmp_path):
    (tmp_path / "b.txt").write_bytes(b"second\r\nline")
    (tmp_path / "a.md").write_bytes(b"\xef\xbb\xbffirst")
    (tmp_path / "c.bin").write_bytes(b"\xff")
    (tmp_path / "d.txt").write_bytes("lone\rreturn é\n".encode())
    assert corpus.read([str(tmp_path)]) == "first\nsecond\nline\nlone\rreturn é\n"


def test_text_is_brought_to_nfc(tmp_path):
    (tmp_path / "a.txt").write_text("cafe\u0301 " * 20)
    whole = read_corpus(DataConfig(files=(str(tmp_path / "a.txt"),)))
    assert whole.train + whole.validation == "café " * 20
    assert len(whole.validation) == 10


def test_the_end_is_held_out_or_a_file_is_given(tmp_path):
    (tmp_path / "a.txt").write_text("0123456789" * 3)
    (tmp_path / "v.txt").write_text("other")
    config = DataConfig(files=(str(tmp_path / "a.txt"),), held_out=0.2)
    assert read_corpus(config) == Corpus("0123456789" * 2 + "0123", "456789")
    config = DataConfig(files=config.files, validation=str(tmp_path / "v.txt"))
    assert read_corpus(config) == Corpus("0123456789" * 3, "other")


def test_digest_tells_the_parts_apart():
    assert Corpus("ab", "c").digest != Corpus("a", "bc").digest
    assert Corpus("ab", "c").digest == Corpus("ab", "c").digest


def test_python_documentation_is_prose():
    text = corpus.read([])
    assert text == corpus.python_documentation()
    assert len(text) > 300_000
    assert "statement" in text


@pytest.mark.parametrize("level", ["byte", "character", "word", "bpe"])
def test_tokens_are_those_of_the_text(tmp_path, level):
    whole = Corpus("the cat sat on the mat. " * 20, "the rat sat on the hat\n")
    tokens = tokens_of(whole, DataConfig(level=level), tmp_path / "tokens")
    vocabulary = tokens.vocabulary
    assert vocabulary.level == level
    np.testing.assert_array_equal(tokens.train, vocabulary.encode(whole.train))
    np.testing.assert_array_equal(tokens.validation, vocabulary.encode(whole.validation))
    assert vocabulary.decode(tokens.train) == whole.train
    assert tokens.characters_per_token == len(whole.train) / len(tokens.train)
    # The held-out words are not learned, the held-out characters are known.
    unknown = int((tokens.validation == vocabulary.unknown).sum()) if vocabulary.unknown == 0 else 0
    assert unknown == {"byte": 0, "character": 0, "word": 3, "bpe": 2}[level]
    again = tokens_of(whole, DataConfig(level=level), tmp_path / "tokens")
    assert again.vocabulary.to_json() == vocabulary.to_json()
    np.testing.assert_array_equal(again.train, tokens.train)


def test_a_vocabulary_can_be_bounded(tmp_path):
    whole = Corpus("a b c d e f g h " * 9, "a b\n")
    tokens = tokens_of(whole, DataConfig(level="word", vocabulary=5), tmp_path)
    assert len(tokens.vocabulary) == 5


def test_damaged_tokens_are_refused(tmp_path):
    whole, config = Corpus("ab" * 50, "abab"), DataConfig()
    tokens_of(whole, config, tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(DataError, match="start a new run"):
        tokens_of(whole, config, tmp_path)


@pytest.mark.parametrize("tie", [False, True], ids=["untied", "tied"])
def test_a_model_folder_gives_the_same_model(tmp_path, tie):
    import torch

    from elman.modelfile.text import TextModelSpec

    whole = Corpus("hello world " * 30, "hello\n")
    config = DataConfig(batch=2, window=5)
    tokens = tokens_of(whole, config, tmp_path / "tokens")
    spec = TextModelSpec(hidden=6, tie=tie, layers=2, layer_norm=True)
    task = TextTask(tokens, config, spec, torch.device("cpu"))
    history = {"validation_loss": 1.5, "steps": 3, "epochs": 1.0, "training": {"seed": 1}}
    task.save_model(tmp_path / "model", history)
    stream = load(tmp_path / "model").tokens(2)
    inputs = torch.tensor([[1, 2], [3, 4], [5, 1]])
    task.model.eval()
    with torch.no_grad():
        expected = task.model(inputs)[0].numpy()
    found = np.stack([stream.timestep(row) for row in inputs.numpy()])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert "1.5000 nats" in (tmp_path / "model" / "README.md").read_text()
