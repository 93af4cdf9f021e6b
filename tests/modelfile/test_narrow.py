"""Narrow weights on disk: what they are worth, and what the library reads of them."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from elman.modelfile import read, write
from elman.modelfile.narrow import Narrow, narrow

RNG = np.random.default_rng(6)
TENSORS = {
    "embedding.weight": RNG.standard_normal((5, 3)).astype("f4"),
    "recurrent.weight_hh_l0": RNG.standard_normal((9, 7)).astype("f4")
    * 10.0 ** RNG.integers(-9, 9, (9, 1)),
    "recurrent.bias_hh_l0": RNG.standard_normal(9).astype("f4"),
    "output.weight": np.zeros((2, 3), "f8"),
}


@pytest.fixture(params=["bfloat16", "int8"])
def weights(request):
    return request.param


def save(folder, weights):
    parts = {"tensors": TENSORS, "tokenizer": None, "readme": "", "weights": weights}
    write(folder, task="stack", spec={}, **parts)
    return folder


def test_matrices_of_weights_are_narrow_and_nothing_else(tmp_path, weights):
    held = read(save(tmp_path / "m", weights))
    assert held.weights == weights
    assert {n for n, t in held.tensors.items() if isinstance(t, Narrow)} == {
        "recurrent.weight_hh_l0",
        "output.weight",
    }
    for name in ("embedding.weight", "recurrent.bias_hh_l0"):
        np.testing.assert_array_equal(held.tensors[name], TENSORS[name])
    assert not held.arrays()["output.weight"].any()


def test_values(tmp_path, weights):
    weight = TENSORS["recurrent.weight_hh_l0"]
    found = read(save(tmp_path / "m", weights)).arrays()["recurrent.weight_hh_l0"]
    assert found.dtype == np.float32
    if weights == "bfloat16":
        wanted = torch.from_numpy(weight.astype("f4")).bfloat16().float().numpy()
        np.testing.assert_array_equal(found, wanted)
        return
    half = np.abs(weight).max(axis=1, keepdims=True) / 127 / 2
    assert (np.abs(found - weight) <= half * (1 + 1e-5)).all()
    assert (np.abs(found - weight) / half).max() > 0.8
    again = narrow(found, "int8")
    np.testing.assert_array_equal(again.codes, narrow(weight, "int8").codes)


def test_the_library_reads_the_same(tmp_path, weights):
    theirs = load_file(save(tmp_path / "m", weights) / "model.safetensors")
    found = read(tmp_path / "m").arrays()
    wide = theirs["recurrent.weight_hh_l0"].float()
    if weights == "int8":
        wide = wide * theirs["recurrent.weight_hh_l0.scale"][:, None]
    np.testing.assert_array_equal(wide.numpy(), found["recurrent.weight_hh_l0"])


def test_files_are_smaller(tmp_path):
    weight = {"output.weight": RNG.standard_normal((64, 256)).astype("f4")}
    sizes = []
    for weights in ("float32", "bfloat16", "int8"):
        parts = {"tensors": weight, "tokenizer": None, "readme": "", "weights": weights}
        write(tmp_path / weights, task="stack", spec={}, **parts)
        sizes.append((tmp_path / weights / "model.safetensors").stat().st_size)
    assert sizes[1] < 0.51 * sizes[0] and sizes[2] < 0.27 * sizes[0]


def test_float64_is_told_apart(tmp_path):
    parts = {"tokenizer": None, "readme": ""}
    write(tmp_path / "a", task="stack", spec={}, tensors={"w": np.ones(2)}, **parts)
    assert read(tmp_path / "a").weights == "float64"
    mixed = {"w": np.ones(2), "v": np.ones(2, "f2")}
    write(tmp_path / "b", task="stack", spec={}, tensors=mixed, **parts)
    assert read(tmp_path / "b").weights == "float32"
