"""A timestep of the core allocates nothing: counted in C++, where ``operator new`` is replaced."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_timestep_allocates_nothing(tmp_path: Path) -> None:
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    assert compiler, "the core was built, so there is a compiler"
    core = ROOT / "csrc"
    # Without ELMAN_X86 the program has the baseline alone, which compiles in seconds.
    names = ("memory/pool", "threads/team", "simd/isa", "simd/baseline", "stream/pack")
    sources = [f"{name}.cpp" for name in (*names, "stream/stream")]
    program = tmp_path / "allocations"
    options = ["-std=c++20", "-O1", f"-I{core}", "-o", str(program)]
    files = [str(Path(__file__).with_name("allocations.cpp")), *(str(core / s) for s in sources)]
    subprocess.run([compiler, *options, *files], check=True, timeout=200)
    env = {name: value for name, value in os.environ.items() if name != "ELMAN_ISA"}
    done = subprocess.run(
        [program], env=env, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "0 of 1\n"
