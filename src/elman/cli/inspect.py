"""``elman inspect``: what a model is and how it came to be."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.models import model_folder


def inspect(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run, or a model folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show what a model is: cells, shapes, parameters, training history.

    Examples:

    elman inspect runs/text

    elman inspect runs/text/best --json
    """
    from elman import modelfile
    from elman.encode.text import from_json

    held = modelfile.read(model_folder(run))
    shapes = {name: list(array.shape) for name, array in held.tensors.items()}
    result: dict[str, Any] = {
        "task": held.task,
        "spec": held.spec,
        "parameters": sum(array.size for array in held.tensors.values()),
        "shapes": shapes,
        "history": _history(run),
    }
    if held.tokenizer is not None:
        vocabulary = from_json(held.tokenizer)
        result |= {"level": vocabulary.level, "vocabulary": len(vocabulary)}
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _show(run, result)


def _history(run: Path) -> list[dict[str, Any]]:
    """Return the rows of metrics that hold an evaluation; none for a bare model folder."""
    from elman.train import metrics
    from elman.train.run import RunFolder

    path = RunFolder(run).metrics
    rows = metrics.read(path) if path.is_file() else []
    return [row for row in rows if row.get("validation_loss") is not None]


def _show(run: Path, result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    spec = ", ".join(f"{name} {value}" for name, value in result["spec"].items())
    console.print(
        f"{run}: a {result['task']} model, {result['parameters']:,} parameters", markup=False
    )
    if "level" in result:
        console.print(f"{result['vocabulary']:,} tokens at level {result['level']}")
    console.print(spec, markup=False)
    weights = Table("tensor", "shape", box=None, pad_edge=False, title_justify="left")
    for name, shape in result["shapes"].items():
        weights.add_row(name, " x ".join(map(str, shape)))
    console.print(weights)
    if result["history"]:
        best = min(row["validation_loss"] for row in result["history"])
        table = Table("epoch", "step", "validation loss", "", box=None, pad_edge=False)
        for row in result["history"]:
            loss = row["validation_loss"]
            mark = "best" if loss == best else ""
            table.add_row(f"{row['epoch']:.2f}", f"{row['step']:,}", f"{loss:.4f}", mark)
        console.print(table)
