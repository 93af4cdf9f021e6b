"""Where a measurement was made: machine, versions, commit."""

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from elman.core import native

PACKAGES = ("elman", "numpy", "torch", "onnx", "onnxruntime", "jax", "jaxlib")
# What decides the speed of this kind of arithmetic, of all that Linux lists.
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16")
ROOT = Path(__file__).parents[1]


def machine() -> dict[str, Any]:
    """CPU, cores, instruction sets, memory and operating system."""
    cpu = _text("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpu)
    flags = set(re.search(r"flags\s*: (.*)|$", cpu)[0].split())
    memory = re.search(r"MemTotal:\s*(\d+) kB", _text("/proc/meminfo"))
    core = native()
    return {
        "cpu": model[1] if model else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "isa": core.isa() if core else "no native core",
        "instructions": [flag for flag in FLAGS if flag in flags],
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else None,
        "os": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Of what was compared, as far as it is installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> tuple[str, bool]:
    """The commit, and whether the tree differs from it other than by results and their page."""
    kept = [":!benchmarks/results", ":!docs/performance.md", ":!docs/performance.svg"]
    head = _git("rev-parse", "HEAD").strip()
    return head or "unknown", bool(_git("status", "--porcelain", "--", ".", *kept))


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
