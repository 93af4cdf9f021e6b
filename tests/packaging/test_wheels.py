"""The package as others install it: from wheels and from the source distribution.

Slow: each builds the core. Python 3.12 and newer are looked for beside the one that runs this, as
``pyenv`` lays them out, or in PATH; the tests of those that are not there say so.
"""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def run(*words: object, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        timeout=1000,
        env=os.environ | environment,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def python(version: str) -> str:
    """An interpreter of this version; skips where the machine has none."""
    beside = sorted(Path(sys.base_prefix).parent.glob(f"{version}*/bin/python"))
    found = str(beside[-1]) if beside else shutil.which(f"python{version}")
    if not found:
        pytest.skip(f"this machine has no Python {version}")
    return found


def fresh(interpreter: str, folder: Path) -> Path:
    run(interpreter, "-m", "venv", folder)
    return folder / "bin" / "python"


def wheel(interpreter: Path, folder: Path, source: Path = ROOT, **environment: str) -> Path:
    command = ("-m", "pip", "wheel", "--no-deps", "--no-cache-dir", "--wheel-dir", folder, source)
    build = f"--config-settings=build-dir={folder / 'build'}"
    run(interpreter, *command, build, **environment)
    (made,) = folder.glob("elman-*.whl")
    return made


def works(interpreter: Path, made: Path) -> None:
    """The wheel, NumPy and pytest are enough for the tests of the runtime."""
    pip = (interpreter, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt")
    run(*pip, made, "pytest", "pytest-timeout")
    run(interpreter, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/runtime/test_values.py")


def has_the_page(made: Path) -> None:
    """Every file that a browser gets, and no other."""
    folder = "elman/server/page/"
    with zipfile.ZipFile(made) as archive:
        held = {name.removeprefix(folder) for name in archive.namelist() if folder in name}
    assert held - {""} == {path.name for path in (ROOT / "src" / folder).iterdir()}


def test_one_wheel_serves_every_python_from_3_12(tmp_path: Path) -> None:
    older, newer = python("3.12"), python("3.13")
    made = wheel(fresh(older, tmp_path / "older"), tmp_path / "wheels")
    assert "-cp312-abi3-" in made.name
    works(tmp_path / "older" / "bin" / "python", made)
    works(fresh(newer, tmp_path / "newer"), made)


def test_a_wheel_of_its_own_for_3_11(tmp_path: Path) -> None:
    interpreter = fresh(python("3.11"), tmp_path / "env")
    made = wheel(interpreter, tmp_path / "wheels")
    assert "-cp311-cp311-" in made.name
    works(interpreter, made)


def test_the_source_distribution_has_all_it_needs(tmp_path: Path) -> None:
    interpreter = fresh(python("3.12"), tmp_path / "env")
    run(interpreter, "-m", "pip", "install", "--quiet", "build")
    run(interpreter, "-m", "build", "--sdist", "--outdir", tmp_path / "source", ROOT)
    (source,) = (tmp_path / "source").glob("elman-*.tar.gz")
    made = wheel(interpreter, tmp_path / "wheels", source)
    has_the_page(made)
    works(interpreter, made)


def test_without_a_compiler_it_installs_and_says_so_once(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    interpreter = tmp_path / "env" / "bin" / "python"
    made = wheel(interpreter, tmp_path / "wheels", CXX="/bin/false")
    has_the_page(made)
    run(interpreter, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", made)
    code = (
        "import numpy as np, warnings; from elman.runtime import Stream\n"
        "one = np.ones((1, 1), 'float32'); w = {'weight_ih_l0': one, 'weight_hh_l0': one}\n"
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always')\n"
        "    [Stream.from_weights('elman', w).timestep(one[0]) for _ in range(3)]\n"
        "print(*(each.message for each in said), sep='\\n')\n"
    )
    said = run(interpreter, "-c", code, PYTHONPATH="")
    assert said == "[core] elman was installed without a C++ compiler: it works, but slowly\n"
