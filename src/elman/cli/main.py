"""``elman``: the commands, and the one place that turns errors into a line and an exit code."""

import signal
import sys
from typing import Any

import typer

from elman import __version__
from elman.cli.complete import complete
from elman.cli.doctor import doctor
from elman.cli.evaluate import evaluate
from elman.cli.export import export
from elman.cli.generate import generate
from elman.cli.inspect import inspect
from elman.cli.serve import serve
from elman.cli.train import train
from elman.errors import ElmanError, StorageError

app = typer.Typer(
    name="elman",
    help="Train recurrent networks on sequences, and run them one timestep at a time.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(train, name="train")
for command in (complete, generate, evaluate, export, serve, inspect, doctor):
    app.command()(command)

# The command-line library does not export the base of its usage errors by name.
_UsageProblem: Any = typer.BadParameter.__bases__[0]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"elman {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Train recurrent networks on sequences, and run them one timestep at a time."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit: 0 done, 2 usage, 3 diverged, 4 data, 5 model, 74 I/O, 128+signal."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code; errors become one line on standard error."""
    try:
        code = app(arguments, prog_name="elman", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except ElmanError as error:
        return _fail(str(error), error.exit_code)
    except _UsageProblem as error:
        where = error.ctx.command_path if error.ctx else "elman"
        text = " ".join(error.format_message().split())
        return _fail(f"[{where}] {text.rstrip('.')}; see {where} --help", 2)
    except SystemExit:
        # So the command-line library ends when whoever read our output has gone, as `head` does.
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return _fail("[elman] interrupted", 128 + signal.SIGINT)
    except OSError as error:
        text = f"{error.filename or 'input or output'}: {error.strerror or error}"
        return _fail(str(StorageError("elman", f"{text}; check the path and the disk")), 74)
    except MemoryError:
        return _fail("[elman] the memory is full; ask for smaller sizes", 1)


def _fail(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code
