"""``elman train``: learn from data, or go on where an earlier call was stopped."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elman.cli.options import given, with_options
from elman.config import plain, read_toml, take
from elman.errors import UsageError, check_choice
from elman.modelfile.text import TextModelSpec
from elman.tasks.text.config import DataConfig
from elman.train.config import TrainingConfig

if TYPE_CHECKING:
    import torch
    from rich.console import Console

    from elman.tasks.text.prepare import Corpus
    from elman.train.loop import Trainer
    from elman.train.run import RunFolder

Configs = dict[str, Any]
SECTIONS: dict[str, type[Any]] = {
    "data": DataConfig,
    "model": TextModelSpec,
    "training": TrainingConfig,
}

train = typer.Typer(help="Train a network.", no_args_is_help=True)


@train.callback()
def tasks() -> None:
    """Train a network. The same command again goes on where it was stopped."""


@train.command()
@with_options(Data=DataConfig, Model=TextModelSpec, Training=TrainingConfig)
def text(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            help="Text files, folders of them, or - for standard input.",
            show_default="the documentation that Python carries",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Run folder, made or resumed.")] = Path("runs/text"),
    config: Annotated[
        Path | None, typer.Option(help="TOML file of options, such as a run's config.toml.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, help="Seconds between checkpoints.")
    ] = 30.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="One batch of each kind, then stop; keeps nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    **options: Any,
) -> None:
    """Learn a text: a network that predicts what comes next.

    Examples:

    elman train text --out runs/first

    elman train text novel.txt letters/ --out runs/mine --cell gru --hidden 512

    cat *.txt | elman train text - --out runs/pipe --level bpe

    The same command again goes on where it was stopped.
    """
    chosen = read_toml(config) if config else {}
    chosen |= given(options) | ({"files": tuple(files)} if files else {})
    chosen.pop("digest", None)
    configs = take(SECTIONS, chosen)
    from elman.tasks.text.prepare import read_corpus

    corpus = read_corpus(configs["data"])
    configs["data"] = replace(configs["data"], digest=corpus.digest)
    if dry_run:
        with tempfile.TemporaryDirectory() as folder:
            result = _dry_run(configs, corpus, Path(folder) / "run", device)
    else:
        result = _train(configs, corpus, out, device, checkpoint_seconds)
    if as_json:
        typer.echo(json.dumps(result))


def _train(
    configs: Configs, corpus: "Corpus", out: Path, device: str, checkpoint_seconds: float
) -> dict[str, Any]:
    from elman.train.interrupt import Interrupted
    from elman.train.progress import Progress
    from elman.train.run import RunFolder

    console = _console()
    run = RunFolder(out)
    with run.lock():
        trainer = _trainer(configs, corpus, run, device, console)
        resumed = trainer.resume()
        for note in trainer.notes:
            console.print(note, markup=False)
        if trainer.finished:
            console.print(f"{out} is finished already.", markup=False)
        elif resumed:
            console.print(f"Going on from step {trainer.at.step} of {trainer.total}.")
        total, epochs, start = trainer.total, trainer.config.epochs, trainer.at.step
        try:
            with Progress(console, total=total, epochs=epochs, start=start) as progress:
                trainer.train(progress, checkpoint_seconds)
        except Interrupted as stop:
            line = f"Stopped at step {stop.step} and saved: the same command goes on from there."
            console.print(line, markup=False)
            raise typer.Exit(128 + stop.signal) from None
    at = trainer.at
    console.print(
        f"Best validation loss {at.best:.4f} nats a token; the model is {run.best}\n"
        f'Try:  elman complete {out} "The "\n'
        f"      elman generate {out}\n"
        f"      elman inspect {out}",
        markup=False,
        highlight=False,
    )
    return {"run": str(out), "validation_loss": at.best, "steps": at.step, "seconds": at.seconds}


def _dry_run(configs: Configs, corpus: "Corpus", out: Path, device: str) -> dict[str, Any]:
    from elman.train.progress import Progress
    from elman.train.run import RunFolder

    console = _console()
    run = RunFolder(out)
    with run.lock(), Progress(console, total=1, epochs=1) as progress:
        trainer = _trainer(configs, corpus, run, device, console)
        training, validation = trainer.dry_run(progress)
    console.print(
        f"Dry run passed: training loss {training:.4f}, validation loss {validation:.4f}, "
        f"a checkpoint read back bit for bit. {trainer.total} steps would follow.",
        markup=False,
    )
    return {"training_loss": training, "validation_loss": validation, "steps": trainer.total}


def _trainer(
    configs: Configs, corpus: "Corpus", run: "RunFolder", device: str, console: "Console"
) -> "Trainer":
    import torch

    from elman.tasks.text.prepare import tokens_of
    from elman.tasks.text.task import TextTask
    from elman.train.loop import Trainer

    data, spec, training = configs["data"], configs["model"], configs["training"]
    where = _device(device)
    run.check(plain(configs))
    tokens = tokens_of(corpus, data, run.tokens)
    torch.manual_seed(training.seed)
    task = TextTask(tokens, data, spec, where)
    trainer = Trainer(task, training, run)
    run.keep(plain(configs))
    parameters = sum(p.numel() for p in task.model.parameters())
    console.print(
        f"{len(corpus.train):,} characters to learn, {len(corpus.validation):,} held out; "
        f"{len(tokens.vocabulary):,} tokens ({data.level}); "
        f"{spec.layers} x {spec.hidden} {spec.cell}, {parameters:,} parameters on {where}.",
        markup=False,
        highlight=False,
    )
    return trainer


def _console() -> "Console":
    from rich.console import Console

    return Console(stderr=True)


def _device(name: str) -> "torch.device":
    import torch

    check_choice("train", "device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "train", "--device cuda needs a GPU that PyTorch sees, found none; use cpu"
        )
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(automatic if name == "auto" else name)
