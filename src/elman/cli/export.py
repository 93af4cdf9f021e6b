"""``elman export``: a model to give away."""

from pathlib import Path
from typing import Annotated

import typer

from elman.cli.models import model_folder


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run, or a model folder.")],
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where to write; a model there is replaced.")
    ],
    weights: Annotated[
        str, typer.Option(help="float32, bfloat16 (half the size) or int8 (a quarter).")
    ] = "float32",
) -> None:
    """Write a model folder that `elman.runtime.load` reads without PyTorch.

    Examples:

    elman export runs/text model

    elman export runs/text small --weights int8
    """
    from elman import modelfile
    from elman.errors import UsageError, check_choice
    from elman.runtime import load

    check_choice("export", "weights", weights, ("float32", "bfloat16", "int8"))
    source = model_folder(run)
    if folder.resolve() == source.resolve():
        raise UsageError("export", f"FOLDER must not be the model itself, found {folder}; name one")
    held = modelfile.read(source)
    load(source)  # what is given away is known to run
    modelfile.write(
        folder,
        task=held.task,
        spec=held.spec,
        tensors={name: array.astype("float32") for name, array in held.arrays().items()},
        tokenizer=held.tokenizer,
        readme=_readme(held.readme, weights),
        weights=weights,
    )
    size = sum(path.stat().st_size for path in folder.iterdir())
    typer.echo(f"{folder}: a {held.task} model with {weights} weights, {size:,} bytes")


def _readme(text: str, weights: str) -> str:
    """What the folder is, before what was known of the model."""
    return f"""{text.rstrip()}

## Export

Exported by elman with {weights} weights. It runs without PyTorch:

    import elman.runtime
    model = elman.runtime.load("FOLDER")
"""
