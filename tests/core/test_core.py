"""Where the native core is missing, the package says so once and goes on."""

import subprocess
import sys

CODE = """
import importlib, sys, warnings
sys.modules["elman._core"] = None  # as if it had not been built
import numpy as np
from elman.core import is_built, isas
from elman.runtime import Stream
assert not is_built() and isas() == []
one = np.ones((1, 1), dtype="float32")
weights = {"weight_ih_l0": one, "weight_hh_l0": one}
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    streams = [Stream.from_weights("elman", weights) for _ in range(3)]
y = streams[0].timestep(np.array([0.5], dtype="float32"))
assert abs(y[0] - np.tanh(0.5)) < 1e-6
print(*(str(each.message) for each in said), sep="\\n")
"""


def test_a_missing_core_is_said_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    wanted = "[core] elman was installed without a C++ compiler: it works, but slowly"
    assert done.stdout.splitlines() == [wanted]
