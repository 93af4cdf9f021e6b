"""A small text model of random weights, and a server of it."""

from pathlib import Path

import pytest
from server.serving import serving, write_model

from elman.runtime import load


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """The model folder: an LSTM of odd sizes whose biases are not zero."""
    return write_model(tmp_path_factory.mktemp("served") / "small", seed=3)


@pytest.fixture(scope="session")
def model(folder):
    return load(folder)


@pytest.fixture(scope="module")
def server(folder):
    """A server for a whole file of tests; the rate is one that tests can have."""
    with serving(folder, "--rate", 100_000) as made:
        yield made
