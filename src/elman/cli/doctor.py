"""``elman doctor``: what this machine has and lacks."""

import importlib.metadata
import json
import os
import platform
import shutil
from typing import Annotated, Any

import typer

from elman import __version__

# package -> what it is for, and how to get it
WANTED = {
    "numpy": ("everything", "elman"),
    "safetensors": ("model files", "elman"),
    "torch": ("training", "elman[train]"),
    "tokenizers": ("bpe vocabularies", "elman[train]"),
    "matplotlib": ("learning curves", "elman[train]"),
    "starlette": ("serving", "elman[serve]"),
    "uvicorn": ("serving", "elman[serve]"),
    "redis": ("sessions in Redis", "elman[serve]"),
}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Tell what this machine has and lacks for elman.

    Examples:

    elman doctor

    elman doctor --json
    """
    packages = {name: _version(name) for name in WANTED}
    facts: dict[str, Any] = {
        "elman": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "free_disk_bytes": shutil.disk_usage(".").free,
        "accelerator": _accelerator(packages["torch"] is not None),
        "packages": packages,
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for name in ("elman", "python", "system", "processors"):
        typer.echo(f"{name:<14}{facts[name]}")
    typer.echo(f"{'free disk':<14}{facts['free_disk_bytes'] / 2**30:.1f} GiB")
    typer.echo(f"{'accelerator':<14}{facts['accelerator'] or 'none; training uses the processor'}")
    for name, version in packages.items():
        purpose, source = WANTED[name]
        missing = f"missing, needed for {purpose}: pip install '{source}'"
        typer.echo(f"{name:<14}{version or missing}")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _accelerator(has_torch: bool) -> str | None:
    if not has_torch:
        return None
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
