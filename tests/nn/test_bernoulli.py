"""Random ones and zeros: how many there are, and that nothing but the seed tells them."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from elman import nn
from elman.core import is_built, isas
from elman.nn import bernoulli as module
from elman.nn import operators
from elman.nn.bernoulli import bernoulli

needs_core = pytest.mark.skipif(not is_built(), reason="the core is not built")
MASK = (1 << 64) - 1


def xoshiro(seed: int, count: int) -> list[list[int]]:
    """Sixteen generators side by side, in Python's whole numbers: ``count`` draws of each."""
    words = []
    for _ in range(64):
        seed = (seed + 0x9E3779B97F4A7C15) & MASK
        z = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        words.append((z ^ z >> 31) >> 32)
    states = [[words[16 * word + lane] for word in range(4)] for lane in range(16)]

    def turn(v: int, by: int) -> int:
        return (v << by | v >> (32 - by)) & 0xFFFFFFFF

    drawn = []
    for _ in range(count):
        for s in states:
            drawn.append((turn((s[0] + s[3]) & 0xFFFFFFFF, 7) + s[0]) & 0xFFFFFFFF)
            shifted = s[1] << 9 & 0xFFFFFFFF
            s[2] ^= s[0]
            s[3] ^= s[1]
            s[1] ^= s[2]
            s[0] ^= s[3]
            s[2] ^= shifted
            s[3] = turn(s[3], 11)
    return [drawn[i : i + 16] for i in range(0, len(drawn), 16)]


@needs_core
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_generator_that_is_named(dtype: torch.dtype) -> None:
    """Two pieces of 4,096 and a part of a third, from generators with seeds of their own."""
    seed, rate, size = 0x1234_5678_9ABC, 0.3, 2 * 4096 + 37
    drawn = operators.draw(rate, seed, (size,), dtype, 2)
    pieces = [xoshiro((seed + i * 0xD1342543DE82EF95) & MASK, 256) for i in range(3)]
    numbers = np.array(pieces, np.uint64).reshape(-1)[:size]
    expected = (numbers <= int(rate * 2**32 - 1)).astype(np.float64)
    np.testing.assert_array_equal(drawn.numpy(), expected)


@needs_core
@pytest.mark.parametrize("rate", [2.0**-40, 0.1, 0.5, 1.0])
def test_how_many_are_ones(rate: float) -> None:
    """Within five standard deviations; below 2^-32 the rate is that, and at 1 there is no zero."""
    size = 1_000_001
    found = float(operators.draw(rate, 7, (size,), torch.float32, 2).double().sum())
    assert abs(found - rate * size) <= 5 * (rate * (1 - rate) * size) ** 0.5 + 1e-3


@needs_core
def test_neighbours_do_not_know_of_one_another() -> None:
    """The product of a one and its k-th neighbour is as frequent as chance has it."""
    size = 1_000_001
    drawn = operators.draw(0.25, 3, (size,), torch.float64, 2).numpy() - 0.25
    for distance in (1, 2, 15, 16, 17, 4096):
        together = float((drawn[distance:] * drawn[:-distance]).mean())
        assert abs(together) < 5 * 0.1875 / size**0.5, distance


@needs_core
def test_threads_and_instruction_sets_draw_the_same() -> None:
    first = operators.draw(0.4, 11, (5, 4099), torch.float32, 1)
    for threads in (2, 3):
        assert torch.equal(first, operators.draw(0.4, 11, (5, 4099), torch.float32, threads))
    program = (
        "import sys, torch; from elman.nn import operators;"
        "d = operators.draw(0.4, 11, (5, 4099), torch.float32, 2);"
        "sys.stdout.buffer.write(d.numpy().tobytes())"
    )
    for isa in isas():
        command = [sys.executable, "-c", program]
        found = subprocess.run(
            command, capture_output=True, check=True, env=os.environ | {"ELMAN_ISA": isa}
        )
        assert found.stdout == first.numpy().tobytes(), isa


def test_the_seed_of_torch_is_followed() -> None:
    """By a layer in training, whoever draws."""
    layer, x = nn.GRU(3, 5, zoneout=0.3), torch.randn(7, 2, 3)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(layer(x)[0])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_without_the_core_torch_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BUILT", False)
    torch.manual_seed(5)
    drawn = bernoulli(0.25, (50, 40, 30), torch.empty(0, dtype=torch.float64))
    assert drawn.dtype == torch.float64
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert abs(float(drawn.mean()) - 0.25) < 5 * (0.1875 / 60_000) ** 0.5


@needs_core
@pytest.mark.parametrize("rate", [0.0, -0.5, 1.5, float("nan")])
def test_what_is_no_probability_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate must be above 0 and at most 1"):
        operators.draw(rate, 1, (3,), torch.float32, 1)
