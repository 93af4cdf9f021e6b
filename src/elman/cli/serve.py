"""``elman serve``: models over HTTP and WebSocket, and the page."""

from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.models import model_folder
from elman.cli.options import given, with_options
from elman.errors import UsageError
from elman.server.limits import Limits


@with_options(limits=Limits)
def serve(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Runs, or model folders; the first is the default."),
    ],
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="A name that the server is called by; needed beyond this machine."),
    ] = None,
    state: Annotated[
        str, typer.Option(help="Where sessions live: memory, or redis://HOST:PORT/NUMBER.")
    ] = "memory",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="ELMAN_TOKEN", help="A lasting token for programs, 16 characters or more."
        ),
    ] = None,
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Ask for no token: something else keeps others out.")
    ] = False,
    **options: Any,
) -> None:
    """Serve text models over HTTP and WebSocket, with a page to type and look.

    Prints an address with a token that works once; the browser that opens it stays known.

    Examples:

    elman serve runs/demo

    elman serve runs/demo runs/mine --port 9000 --state redis://127.0.0.1:6379/0

    elman serve runs/demo --host 0.0.0.0 --allowed-host words.example.org
    """
    _check_token(token, no_token)
    limits = Limits(**given(options))
    try:
        from elman.server.access import allowed_hosts
        from elman.server.run import serve as start
    except ModuleNotFoundError as error:
        raise UsageError(
            "serve", f"{error.name} is missing; install it with pip install 'elman[serve]'"
        ) from None
    start(
        _named(runs),
        host=host,
        hosts=allowed_hosts(host, allowed_host or ()),
        port=port,
        state=state,
        token=token,
        required=not no_token,
        limits=limits,
        say=typer.echo,
    )


def _check_token(token: str | None, no_token: bool) -> None:
    if token is None:
        return
    if no_token:
        raise UsageError("serve", "--token and --no-token exclude each other; drop one")
    if not 16 <= len(token) <= 512 or not token.isascii() or not token.isprintable():
        raise UsageError(
            "serve",
            "--token must have 16 to 512 printable ASCII characters; make one with "
            "python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )


def _named(runs: list[Path]) -> list[tuple[str, Path]]:
    """Each folder under the name of its run."""
    named: dict[str, Path] = {}
    for run in runs:
        folder = model_folder(run)
        whole = folder.resolve()
        name = whole.parent.name if whole.name == "best" else whole.name
        if name in named:
            raise UsageError("serve", f"two models are called {name}; rename a folder")
        named[name] = folder
    return list(named.items())
