"""Scores against the reference, whole and in lanes."""

import numpy as np
import pytest
from runtime import folders

from elman.errors import DataError
from elman.runtime import load
from elman.runtime import score as module
from elman.runtime.score import nats, score

OPTIONS = {
    "lstm": {},
    "gru2-tied": {"cell": "gru", "layers": 2, "tie": True, "embedding": 0},
    "elman-zoneout": {"cell": "elman", "zoneout": 0.2},
    "lstm-norm": {"layer_norm": True},
}


@pytest.mark.parametrize("level", folders.LEVELS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_nats_are_the_references(tmp_path, options, level):
    folder = folders.write(tmp_path / "model", level, **options)
    model = load(folder)
    tokens = model.vocabulary.encode(folders.TEXT * 4)
    expected = folders.log_probs(folder, tokens[:-1])
    total, count = nats(model, tokens)
    assert count == len(tokens) - 1
    assert total == pytest.approx(-expected[np.arange(count), tokens[1:]].sum(), rel=1e-6)


def test_score_counts_characters_words_and_unknowns(tmp_path):
    model = load(folders.write(tmp_path / "model"))
    text = "at \u00e9.c\u0416\nat"
    result = score(model, text)
    assert (result.characters, result.tokens, result.unknown, result.words) == (9, 9, 1, 4)
    total, _ = nats(model, model.vocabulary.encode(text))
    assert result.nats_per_character == pytest.approx(total / 9)
    assert result.bits_per_character == pytest.approx(total / 9 / np.log(2))
    assert result.perplexity == pytest.approx(np.exp(total / 9))
    assert result.word_perplexity == pytest.approx(np.exp(total / 4))


def test_long_texts_are_cut_into_lanes_that_start_afresh(tmp_path, monkeypatch):
    model = load(folders.write(tmp_path / "model"))
    tokens = np.arange(35, dtype=np.uint8) % 9
    expected = sum(nats(model, tokens[start : start + 12])[0] for start in (0, 11, 22))
    monkeypatch.setattr(module, "LANE", 11)
    monkeypatch.setattr(module, "WINDOW", 4)
    total, count = nats(model, tokens)
    assert count == 33
    assert total == pytest.approx(expected, rel=1e-6)


def test_a_text_of_one_token_cannot_be_scored(tmp_path):
    with pytest.raises(DataError, match="two tokens, found 1"):
        score(load(folders.write(tmp_path / "model")), "a")
