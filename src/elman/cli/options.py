"""Options of the command line, made from the fields of configuration dataclasses."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Optional

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
        show_default=str(field.default) if field.default != "" else False,
        rich_help_panel=panel,
    )
    kind = Optional[type(field.default)]  # noqa: UP045 - built from a value
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=kind
    )


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given on the command line."""
    return {name: value for name, value in options.items() if value is not None}
