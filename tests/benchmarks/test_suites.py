"""Each suite on a tiny case: every contestant is right, and a wrong one would be found."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import jax_peer, onnx_peer
from benchmarks.measure import accept
from benchmarks.record import read
from benchmarks.shapes import TINY
from benchmarks.suites import Settings, core, options, suite
from benchmarks.suites import text as text_suite
from elman.modelfile.text import TextModelSpec
from elman.tasks.text.config import DataConfig

ROOT = Path(__file__).parents[2]
SUBJECTS = {
    "autocast": ["elman bfloat16", "elman float32", "torch.nn bfloat16"],
    "ragged": ["elman ragged", "elman full batch", "torch.nn full batch"],
    "options": ["elman plain", "elman options", "loop options"],
    "trajectory": ["elman trajectory", "elman forward"],
    "memory": ["elman", "torch.nn"],
    "generate": ["elman", "torch.nn"],
    "sessions": ["elman", "elman one at a time"],
}


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_suite_measures_its_contestants(name, monkeypatch):
    monkeypatch.setattr(Settings, "seconds", lambda self, budget: 0.01)
    rows = list(suite(name)(Settings(threads=1, quick=True, absent={})))
    for row in rows:
        assert row.refused == {}
        assert list(row.figures)[: len(SUBJECTS[name])] == SUBJECTS[name]
        assert all(figure.amount > 0 for figure in row.figures.values())
    assert {row.cell for row in rows} == (
        {"lstm"} if name in ("options", "sessions") else {"elman", "gru", "lstm"}
    )
    if name == "ragged":
        assert "torch.nn packed" in rows[-1].figures


@pytest.mark.slow  # it compiles the core for every instruction set
@pytest.mark.skipif(not shutil.which("cmake"), reason="there is no cmake")
def test_the_core_alone(monkeypatch, tmp_path):
    monkeypatch.setattr("benchmarks.suites.core.BUILD", tmp_path)
    settings = Settings(threads=1, quick=True, absent={})
    rows = list(suite("core")(settings))
    assert [row.case for row in rows] == [f"{cell} 1,1,16,16" for cell in ("RNN", "GRU", "LSTM")]
    for row in rows:
        assert row.refused == {}
        assert list(row.figures) == ["float32", "bfloat16", "int8"]
        assert all(
            0 < figure.low <= figure.amount <= figure.high for figure in row.figures.values()
        )
        assert all(figure.difference > 0 for figure in row.figures.values())
    assert "RTNeural" in settings.absent


def test_a_wrong_result_of_the_core_has_no_figure():
    line = "gru   bfloat16 H=64   B=1       0.545 us (0.540 to 0.551), off by 3.1e-02 of 2e-02"
    made = core.row("gru", 64, [core.LINE.match(line).groupdict()])
    assert (made.figures, made.refused) == ({}, {"bfloat16": "off by 3.1e-02"})


@pytest.mark.commands
def test_the_server_says_what_the_model_says(monkeypatch, tmp_path):
    monkeypatch.setattr("benchmarks.suites.server.FOLDER", tmp_path)
    plain, past = suite("server")(Settings(threads=1, quick=True, absent={}))
    for row in (plain, past):
        assert row.refused == {}
        amounts = [row.figures[name].amount for name in ("p50", "p95", "p99")]
        assert amounts == sorted(amounts) and amounts[0] > 0
    assert past.figures["slowest refusal"].amount < 1


@pytest.mark.commands
def test_peers_that_are_not_installed_are_named(tmp_path):
    words = ["timestep", "training", "inference", "--quick", "--threads", "1"]
    command = [sys.executable, "-m", "benchmarks", *words, "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    expected = {
        "timestep": {"onnxruntime": onnx_peer.absent()},
        "training": {"jax": jax_peer.absent()},
        "inference": {"onnxruntime": onnx_peer.absent(), "jax": jax_peer.absent()},
    }
    for name, peers in expected.items():
        result = read(tmp_path / f"{name}.json")
        assert result.absent == {peer: why for peer, why in peers.items() if why}
        for row in result.rows:
            assert all((peer in row.figures) != bool(why) for peer, why in peers.items())
        for peer in result.absent:
            assert f"{peer} is absent: " in done.stdout


def test_absence_is_seen(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert jax_peer.absent() == "jax not installed"
    assert onnx_peer.absent() == "onnxruntime and onnx not installed"
    settings = Settings(1, True, absent={})
    assert not settings.present("jax", jax_peer.absent())
    assert settings.present("torch.nn", "")
    assert settings.absent == {"jax": "jax not installed"}


def test_options_are_compared_under_the_masks_that_were_drawn():
    for made in options.contestants(TINY):
        accepted, refused = accept([made])
        assert accepted and not refused
        if "options" in made.name:
            found = made.result()
            made.result()  # draws other masks, and they are what the reference is given
            assert not np.allclose(found["outputs"], made.expected()["outputs"], atol=1e-3)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> DataConfig:
    path = tmp_path_factory.mktemp("text") / "input.txt"
    words = np.random.default_rng(0).choice(["to be ", "or not ", "that is ", "the\n"], 600)
    path.write_text("".join(words))
    return DataConfig(files=(str(path),), batch=4, window=16)


@pytest.mark.parametrize(
    "spec",
    [TextModelSpec("lstm", hidden=12), TextModelSpec("gru", hidden=8, layers=2)],
    ids=["lstm", "gru2"],
)
def test_the_plain_training_is_the_same_training(spec, corpus, tmp_path):
    run = text_suite.RunFolder(tmp_path / "run")
    with run.lock():
        pair = text_suite.contestants(spec, corpus, tmp_path)
        assert accept(pair)[1] == {}
        ours, theirs = pair
        for _ in range(4):
            ours.run()
            theirs.run()
        after = ours.result(), theirs.result()
    before = ours.expected()
    for name, value in after[0].items():
        np.testing.assert_allclose(value, after[1][name], rtol=0, atol=2e-5, err_msg=name)
    assert abs(after[0]["loss"] - before["loss"]) > 0.05  # it has learned


def test_a_corpus_that_is_not_there_is_named(monkeypatch, tmp_path):
    for folder in (None, str(tmp_path)):
        monkeypatch.delenv("ELMAN_DATA", raising=False)
        if folder:
            monkeypatch.setenv("ELMAN_DATA", folder)
        settings = Settings(1, True, absent={})
        assert list(suite("text")(settings)) == []
        assert "ELMAN_DATA" in settings.absent["tiny-shakespeare"]
