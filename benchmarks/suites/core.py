"""One timestep in the core, without Python: batch 1, one layer, input size = hidden size.

Builds ``benchmarks/core.cpp``, which compares every result with a plain loop in double before it
times anything. RTNeural, with sizes fixed at compile time, is what the targets are taken from.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.machine import ROOT
from benchmarks.record import Figure, Row
from benchmarks.suites import Settings

BUILD = Path("build/benchmarks/core")
SIZES = (16, 32, 64)
# A line of the program: times in microseconds, the median and the quartiles.
LINE = re.compile(
    r"(?P<cell>\w+) +(?P<format>\w+) +H=(?P<size>\d+) +B=1 +(?P<median>[\d.]+) us "
    r"\((?P<low>[\d.]+) to (?P<high>[\d.]+)\), off by (?P<difference>\S+) of (?P<tolerance>\S+)"
)
ROUNDS = 101


def rows(settings: Settings) -> Iterator[Row]:
    why_not = "" if shutil.which("cmake") else "there is no cmake"
    if not settings.present("core", why_not):
        return
    settings.absent["RTNeural"] = "its times on such a machine are the targets"
    program = build()
    sizes = SIZES[:1] if settings.quick else SIZES
    done = subprocess.run([program, "1", *map(str, sizes)], capture_output=True, text=True)
    found = [match.groupdict() for match in LINE.finditer(done.stdout)]
    for size in sizes:
        for cell in ("elman", "gru", "lstm"):
            yield row(
                cell, size, [f for f in found if f["cell"] == cell and int(f["size"]) == size]
            )


def build() -> Path:
    """The program, compiled as the package's core is."""
    configure = ["cmake", "-S", ROOT, "-B", BUILD, "-DELMAN_BENCHMARK=ON"]
    for command in (configure, ["cmake", "--build", BUILD, "--parallel", "2"]):
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return BUILD / "core_benchmark"


def row(cell: str, size: int, found: list[dict[str, str]]) -> Row:
    figures, refused = {}, {}
    for each in found:
        median, low, high = (float(each[name]) * 1e-6 for name in ("median", "low", "high"))
        off, allowed = float(each["difference"]), float(each["tolerance"])
        if off <= allowed:
            figures[each["format"]] = Figure(median, low, high, ROUNDS, off, allowed)
        else:
            refused[each["format"]] = f"off by {off:.1e}"
    return Row(cell, f"1,1,{size},{size}", figures, refused)
