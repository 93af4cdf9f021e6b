"""Each instruction set of this machine gives the right numbers, and ELMAN_ISA chooses it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from elman.core import isas

TESTS = Path(__file__).parents[1]


def python(isa: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"ELMAN_ISA": isa},
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


def test_the_fastest_is_chosen() -> None:
    assert isas()[0] == "baseline"
    done = python("", "-c", "from elman import _core; print(_core.isa())")
    assert done.stdout.strip() == isas()[-1], done.stderr


@pytest.mark.parametrize("isa", isas())
def test_values_with(isa: str) -> None:
    done = python(isa, "-c", "from elman import _core; print(_core.isa())")
    assert done.stdout.strip() == isa
    tests = [TESTS / "runtime" / "test_values.py", TESTS / "core" / "test_activations.py"]
    done = python(isa, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, tests))
    assert done.returncode == 0, done.stdout[-3000:]


def test_an_unknown_one_is_refused_in_one_line() -> None:
    code = (
        "from elman.core import native\nfrom elman.errors import UsageError\n"
        "try:\n    native()\nexcept UsageError as error:\n    print(error)"
    )
    done = python("sse9", "-c", code)
    wanted = f"[core] ELMAN_ISA must be one of {', '.join(isas())} on this machine, found 'sse9'\n"
    assert done.stdout == wanted, done.stderr
