"""The core by itself: the program of C++ tests, and with `-m slow` the same under sanitisers."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Without ELMAN_X86 the program has the baseline alone, which compiles in seconds.
PARTS = ("memory/pool", "threads/team", "simd/isa", "simd/baseline", "stream/pack", "stream/stream")


def test_the_core_by_itself(tmp_path: Path) -> None:
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    assert compiler, "the core was built, so there is a compiler"
    sources = [ROOT / "csrc" / f"{part}.cpp" for part in PARTS]
    sources += sorted((ROOT / "tests" / "core" / "program").glob("*.cpp"))

    def compiled(source: Path) -> Path:
        to = tmp_path / f"{source.stem}-{source.parent.name}.o"
        options = ["-std=c++20", "-O1", "-Wall", "-Wextra", f"-I{ROOT / 'csrc'}", "-c", "-o", to]
        subprocess.run([compiler, *options, source], check=True, timeout=250)
        return to

    with ThreadPoolExecutor(2) as threads:
        objects = list(threads.map(compiled, sources))
    program = tmp_path / "core_tests"
    subprocess.run([compiler, "-pthread", "-o", program, *objects, "-ldl"], check=True, timeout=60)
    done = subprocess.run([program], capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the core is right with baseline\n"


@pytest.mark.slow
@pytest.mark.timeout(3700)
@pytest.mark.parametrize("part", ["address", "thread", "python"])
def test_under_sanitisers(part: str) -> None:
    script = ROOT / "tests" / "core" / "sanitize.sh"
    done = subprocess.run(
        ["sh", script, part], capture_output=True, text=True, timeout=3600, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
