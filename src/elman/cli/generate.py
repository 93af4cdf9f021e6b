"""``elman generate``: write text."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from elman.cli.models import load_text, typed_text

MAX_LENGTH = 10_000_000


def generate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run, or a model folder.")],
    prompt: Annotated[str, typer.Option(help="Text to go on from; - reads standard input.")] = "",
    length: Annotated[int, typer.Option(min=1, max=MAX_LENGTH, help="Characters to write.")] = 500,
    temperature: Annotated[
        float, typer.Option(help="0 always takes the most probable; 1 is as learned.")
    ] = 0.8,
    top_k: Annotated[int, typer.Option(help="Draw among the k most probable; 0 among all.")] = 0,
    top_p: Annotated[
        float, typer.Option(help="Draw among the most probable whose sum reaches p.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed writes the same text.")] = 0,
) -> None:
    """Write text, character by character as it is made.

    Examples:

    elman generate runs/text --prompt "The " --length 300

    elman generate runs/text --temperature 0.5 --top-p 0.9 --seed 7
    """
    start = typed_text(prompt) if prompt else ""
    stream = load_text(run).stream()
    pieces = stream.generate(
        length, prompt=start, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed
    )
    sys.stdout.write(start)
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")
