"""``elman complete``: predictive text."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elman.cli.models import load_text, typed_text

if TYPE_CHECKING:
    from elman.decode.wordsearch import Suggestion

BAR = 24  # characters of a probability of 1


def complete(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run, or a model folder.")],
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="What has been typed; - reads standard input.")
    ],
    n: Annotated[int, typer.Option("-n", min=1, max=100, help="How many suggestions.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Suggest how the word being typed ends and which word comes next, with probabilities.

    Examples:

    elman complete runs/text "The quick br"

    elman complete runs/text "if the " -n 5 --json
    """
    typed = typed_text(text)
    predictor = load_text(run).predictor()
    from elman.decode.suggest import suggest

    found = suggest(predictor, typed, n)
    if as_json:
        typer.echo(json.dumps({"typed": typed, **asdict(found)}, ensure_ascii=False))
        return
    if not (found.completions or found.next_words):
        typer.echo("No suggestion: nothing like this was in the text the model learned.")
    _show("completions", found.completions)
    _show(_after(found.completions), found.next_words)


def _after(completions: "list[Suggestion]") -> str:
    return f'after "{completions[0].text}"' if completions else "next words"


def _show(title: str, suggestions: "list[Suggestion]") -> None:
    if not suggestions:
        return
    typer.echo(f"{title}:")
    width = max(len(suggestion.text) for suggestion in suggestions)
    for suggestion in suggestions:
        bar = "█" * round(suggestion.probability * BAR)
        line = f"  {suggestion.text:<{width}}  {suggestion.probability:7.2%}  {bar}"
        typer.echo(line.rstrip())
