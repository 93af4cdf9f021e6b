"""The training loop against loops written out by hand."""

import io
import json
import math

import numpy as np
import pytest
import torch
from rich.console import Console

from elman.encode.text import build
from elman.errors import DivergedError, ModelError, UsageError
from elman.modelfile.text import TextModelSpec
from elman.tasks.text.config import DataConfig
from elman.tasks.text.model import TextModel
from elman.tasks.text.prepare import Tokens
from elman.tasks.text.task import TextTask
from elman.train import curve, metrics
from elman.train.config import TrainingConfig
from elman.train.loop import Trainer
from elman.train.progress import Progress
from elman.train.run import RunFolder

TEXT = "the cat sat on the mat and the rat sat on the cat, " * 12
DATA = DataConfig(window=7, batch=3)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Leave the learning curve out: it takes longer than all the rest."""
    monkeypatch.setattr(curve, "draw", lambda *args, **kwargs: None)


def make_task(**spec):
    vocabulary = build("character", [TEXT])
    tokens = vocabulary.encode(TEXT)
    torch.manual_seed(1)
    held = Tokens(tokens[:500], tokens[500:], vocabulary, 1.0)
    return TextTask(held, DATA, TextModelSpec(**({"hidden": 6} | spec)), torch.device("cpu"))


def make_trainer(folder, task=None, **training):
    config = TrainingConfig(**({"epochs": 2, "warmup": 0, "lr": 0.1} | training))
    folder.mkdir(exist_ok=True)
    return Trainer(task or make_task(), config, RunFolder(folder))


def quiet():
    return Progress(Console(file=io.StringIO()), total=1, epochs=1)


def train(trainer, **options):
    with quiet() as progress:
        return trainer.train(progress, **options)


def weights(trainer):
    return {name: value.clone() for name, value in trainer.task.model.state_dict().items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
def test_truncated_bptt_by_hand(tmp_path, cell):
    """Two epochs of SGD: windows in order, the state carried and detached, zero at each epoch."""
    trainer = make_trainer(
        tmp_path / "run", make_task(cell=cell), optimiser="sgd", schedule="constant", clip=0.5,
        weight_decay=0,
    )  # fmt: skip
    torch.manual_seed(1)
    model = TextModel(TextModelSpec(hidden=6, cell=cell), len(trainer.task.tokens.vocabulary))
    train(trainer)
    tokens = torch.from_numpy(trainer.task.tokens.train.astype(np.int64))
    length = 499 // 3
    lanes = torch.stack([tokens[b * length : (b + 1) * length + 1] for b in range(3)], dim=1)
    for _ in range(2):
        state = None
        for start in range(0, length, 7):
            window = lanes[start : start + 8]
            if state is not None:
                parts = state if isinstance(state, tuple) else (state,)
                parts = tuple(part.detach() for part in parts)
                state = parts if cell == "lstm" else parts[0]
            logits, state = model(window[:-1], state)
            loss = -logits.log_softmax(-1).gather(2, window[1:, :, None]).mean()
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            norm = math.sqrt(sum(float(g.pow(2).sum()) for g in gradients))
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter -= 0.1 * gradient * min(1.0, 0.5 / norm)
    for name, value in trainer.task.model.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step", "plateau"])
def test_stopping_at_any_step_changes_nothing(tmp_path, schedule):
    """A fresh trainer resumed at each checkpoint ends with the same weights, rows and state."""
    options = {
        "schedule": schedule, "evaluate_every": 10, "optimiser": "adamw", "lr": 0.02,
        "decay_after": 1,
    }  # fmt: skip
    spec = {"dropout": 0.3, "recurrent_dropout": 0.2, "zoneout": 0.1, "cell": "gru"}
    whole = make_trainer(tmp_path / "whole", make_task(**spec), **options)
    train(whole)
    for stop in (0, 10, 25, 47):
        folder = tmp_path / f"stopped-{stop}"
        first = make_trainer(folder, make_task(**spec), **options)
        with quiet() as progress:
            while first.at.step < stop:
                if first._evaluation_due:
                    first._evaluated(first.task.validate(), progress)
                first._step(progress)
        first.save()
        first._step(quiet())  # what is done after the checkpoint must leave no trace
        torch.manual_seed(99)
        second = make_trainer(folder, make_task(**spec), **options)
        assert second.resume()
        train(second)
        assert_same(weights(second), weights(whole))
        assert second.at.step == whole.at.step == 48
        assert second.at.best == whole.at.best
        rows, expected = metrics.read(second.run.metrics), metrics.read(whole.run.metrics)
        for row in rows + expected:
            del row["seconds"]
        assert rows == expected
        best = "best/model.safetensors"
        assert (folder / best).read_bytes() == (tmp_path / "whole" / best).read_bytes()


def test_rows_of_metrics(tmp_path):
    trainer = make_trainer(tmp_path / "run", schedule="step", decay_after=1, decay=0.5)
    at = train(trainer)
    rows = metrics.read(trainer.run.metrics)
    assert [row["step"] for row in rows if "loss" in row] == [20, 24, 44, 48]
    assert [row["step"] for row in rows if "validation_loss" in row] == [24, 48]
    assert [row["epoch"] for row in rows if "validation_loss" in row] == [1.0, 2.0]
    rates = {row["step"]: row["learning_rate"] for row in rows if "loss" in row}
    assert rates == {20: 0.1, 24: 0.1, 44: 0.05, 48: 0.05}
    assert at.best == min(row["validation_loss"] for row in rows if "validation_loss" in row)
    assert at.best == pytest.approx(trainer.task.validate())


def test_early_stopping(tmp_path):
    task = make_task()
    losses = iter([2.0, 1.5, 1.6, 1.7, 1.4])
    task.validate = lambda batches=None: next(losses)
    trainer = make_trainer(tmp_path / "run", task, patience=2, evaluate_every=5, epochs=9)
    at = train(trainer)
    assert (at.step, at.best, at.best_step, at.stalled) == (20, 1.5, 10, 2)
    again = make_trainer(tmp_path / "run", make_task(), patience=2, evaluate_every=5, epochs=9)
    assert again.resume()
    assert again.finished


def test_a_loss_that_is_not_finite_stops_before_it_harms(tmp_path):
    trainer = make_trainer(tmp_path / "run")
    with quiet() as progress:
        for _ in range(3):
            trainer._step(progress)
        trainer.save()
        good = weights(trainer)
        with torch.no_grad():
            trainer.task.model.output.bias[2] = math.nan
        with pytest.raises(DivergedError, match=r"found nan .* at step 4; lower --lr or --clip"):
            trainer.train(progress)
    resumed = make_trainer(tmp_path / "run")
    assert resumed.resume()
    assert resumed.at.step == 3
    assert_same(weights(resumed), good)


def test_a_damaged_checkpoint_is_told(tmp_path):
    trainer = make_trainer(tmp_path / "run")
    train(trainer)
    paths = sorted(trainer.run.checkpoints.iterdir())
    (paths[-1] / "state.json").write_text("{}")
    resumed = make_trainer(tmp_path / "run")
    assert resumed.resume()
    assert resumed.at.step == 24
    assert paths[-1].name in resumed.notes[0]
    (paths[0] / "state.json").write_text("{}")
    with pytest.raises(ModelError, match="no checkpoint"):
        make_trainer(tmp_path / "run").resume()


def test_dry_run_finds_a_checkpoint_that_does_not_read_back(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path / "run")
    with quiet() as progress:
        training, validation = trainer.dry_run(progress)
    assert training == pytest.approx(math.log(len(trainer.task.tokens.vocabulary)), rel=0.2)
    assert 0 < validation < 10
    broken = make_trainer(tmp_path / "broken")
    monkeypatch.setattr(broken, "resume", lambda: broken.task.model.output.bias.data.add_(1))
    with quiet() as progress, pytest.raises(ModelError, match="read back"):
        broken.dry_run(progress)


def test_samples_and_losses_are_shown_at_each_evaluation(tmp_path):
    shown = io.StringIO()
    trainer = make_trainer(tmp_path / "run")
    with Progress(Console(file=shown), total=trainer.total, epochs=2) as progress:
        trainer.train(progress)
    text = shown.getvalue()
    assert text.count("validation loss") == 2
    written = [line[4:] for line in text.splitlines() if line.startswith("  | ")]
    sample = trainer.task.sample(trainer.config.seed).splitlines()
    assert written[-len(sample) :] == sample


def test_unknown_schedule(tmp_path):
    with pytest.raises(UsageError, match="did you mean cosine"):
        make_trainer(tmp_path / "run", schedule="cosinus")


def test_model_folder_tells_its_history(tmp_path):
    trainer = make_trainer(tmp_path / "run")
    at = train(trainer)
    readme = (trainer.run.best / "README.md").read_text()
    assert f"{at.best:.4f} nats" in readme
    assert "- lr: 0.1" in readme
    config = json.loads((trainer.run.best / "config.json").read_text())
    assert config["spec"]["hidden"] == 6
