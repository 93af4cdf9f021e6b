"""``elman evaluate``: scores of a model on a text."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.models import held_out, load_text

SUGGESTIONS = 3


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run, or a model folder.")],
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="UTF-8 text.", show_default="what the run held out"),
    ] = None,
    words: Annotated[
        int, typer.Option(min=0, help="Words to type with suggestions; 0 types them all.")
    ] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Score a model on a text: surprise, next words, and the keystrokes its suggestions save.

    Examples:

    elman evaluate runs/text novel.txt

    elman evaluate runs/text --json
    """
    from elman.encode.text import normalise
    from elman.tasks.text import corpus

    model = load_text(run)
    own = file is None
    text = held_out(run, model.vocabulary) if own else normalise(corpus.read([str(file)]))
    from elman.decode.keystrokes import keystrokes
    from elman.runtime.score import score

    surprise = score(model, text)
    typing = keystrokes(model.predictor(), text, n=SUGGESTIONS, max_words=words or None)
    result = surprise.to_json() | {"typing": asdict(typing)}
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _show(result)


def _show(result: dict[str, Any]) -> None:
    typing = result["typing"]
    unknown = f", {result['unknown']:,} unknown" if result["unknown"] else ""
    rows = (
        ("text", f"{result['characters']:,} characters, {result['tokens']:,} tokens{unknown}"),
        ("nats per character", f"{result['nats_per_character']:.4f}"),
        ("bits per character", f"{result['bits_per_character']:.4f}"),
        ("perplexity per token", f"{result['perplexity']:.3f}"),
        ("perplexity per word", f"{result['word_perplexity']:.1f}"),
        ("next word is the first offered", f"{typing['accuracy_at_1']:.1%}"),
        (f"next word among {SUGGESTIONS} offered", f"{typing['accuracy_at_n']:.1%}"),
        (f"keystroke savings, {SUGGESTIONS} offered", f"{typing['savings']:.1%}"),
        ("words typed for the last three", f"{typing['words']:,}"),
    )
    for name, value in rows:
        typer.echo(f"{name:<32}{value}")
