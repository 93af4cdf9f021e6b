"""Options of the command line, made from the fields of configuration dataclasses."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import typer

Command = Callable[..., None]


def with_options(**panels: type[Any]) -> Callable[[Command], Command]:
    """Give a command one option for each field with a help text, a panel of help a dataclass.

    The command receives them as keyword arguments; those that were not given are None, so that a
    configuration file can come between the command line and the defaults.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        made = [
            _parameter(panel, field)
            for panel, kind in panels.items()
            for field in fields(kind)
            if "help" in field.metadata
        ]
        # Read by the command-line library in place of the function's own signature.
        command.__signature__ = signature.replace(parameters=own + made)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in own + made}
        return command

    return decorate


def _parameter(panel: str, field: Any) -> inspect.Parameter:
    option = typer.Option(
        None,
        help=field.metadata["help"],
        show_default=field.default != "" and _shown(field.default),
        rich_help_panel=panel,
    )
    kind: Any = type(field.default)
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(field.name, keyword, default=option, annotation=kind | None)


def _shown(default: Any) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given on the command line."""
    return {name: value for name, value in options.items() if value is not None}
