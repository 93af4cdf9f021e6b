"""The textbook's network: it learns, its timesteps are its training pass, its update is torch's."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from elman.errors import DivergedError, UsageError
from elman.reference import Linear, Network, cross_entropy, initialise
from elman.spec import LayerSpec, suffix

Array = NDArray[np.float64]


def stepwise_loss(network: Network, inputs: Array, targets: NDArray[np.int64]) -> float:
    """The loss of the network run one timestep at a time from its initial state."""
    network.reset()
    scores = np.stack([network.timestep(x) for x in inputs])
    return cross_entropy(scores, targets)[0]


def test_learns_the_next_character_of_a_phrase() -> None:
    # "l" is followed by "l", "o" or "d", and "o" by a space or an "r": memory is needed.
    phrase = "hello world "
    letters = sorted(set(phrase))
    indices = np.array([letters.index(c) for c in phrase * 2])
    inputs, targets = np.eye(len(letters))[indices[:-1], None], indices[1:, None]
    network = Network([LayerSpec("elman", len(letters), 16)], len(letters), seed=4)
    for _ in range(200):
        network.train(inputs, targets, rate=1.0)
    assert stepwise_loss(network, inputs, targets) < 0.05


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_learns_to_remember_the_first_symbol(cell: str) -> None:
    steps, symbols = 5, 3
    seen = np.random.default_rng(0).integers(symbols, size=(steps, 90))
    inputs, targets = np.eye(symbols)[seen], np.full_like(seen, -1)
    targets[-1] = seen[0]  # asked only at the end
    network = Network([LayerSpec(cell, symbols, 12)], symbols, seed=1)
    for _ in range(300):
        network.train(inputs[:, :60], targets[:, :60], rate=1.0)
    assert stepwise_loss(network, inputs[:, 60:], targets[:, 60:]) < 0.05  # 30 others


def test_one_update_is_that_of_torch() -> None:
    network = Network([LayerSpec("lstm", 3, 5), LayerSpec("lstm", 5, 5)], output_size=4, seed=9)
    stack = torch.nn.LSTM(3, 5, num_layers=2, dtype=torch.float64)
    head = torch.nn.Linear(5, 4, dtype=torch.float64)
    theirs = {
        name + suffix(index): parameter
        for index, layer in enumerate(network.layers)
        for name, parameter in layer.parameters.items()
    }
    stack.load_state_dict({n: torch.tensor(p) for n, p in theirs.items()})
    head.load_state_dict({n: torch.tensor(p) for n, p in network.output.parameters.items()})
    rng = np.random.default_rng(9)
    inputs, targets = rng.standard_normal((7, 3, 3)), rng.integers(4, size=(7, 3))
    scores = head(stack(torch.tensor(inputs))[0])
    loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), torch.tensor(targets.ravel()))
    torch.autograd.backward(loss)
    torch.optim.SGD([*stack.parameters(), *head.parameters()], lr=0.3).step()
    assert network.train(inputs, targets, rate=0.3) == pytest.approx(loss.item(), abs=1e-12)
    for name, found in theirs.items():
        expected = getattr(stack, name).detach().numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12, err_msg=name)
    for name, found in network.output.parameters.items():
        np.testing.assert_allclose(found, getattr(head, name).detach().numpy(), rtol=0, atol=1e-12)


def test_timesteps_carry_the_state_and_reset_forgets_it() -> None:
    specs = [LayerSpec("elman", 3, 5, order=2, learn_initial_state=True), LayerSpec("gru", 5, 4)]
    network = Network(specs, output_size=2, seed=3)
    rng = np.random.default_rng(3)
    inputs, targets = rng.standard_normal((6, 2, 3)), rng.integers(2, size=(6, 2))
    network.train(inputs, targets, rate=0.5)  # moves the learned initial state from 0
    assert network.layers[0].parameters["initial_h2"].any()
    before = stepwise_loss(network, inputs, targets)
    carried = network.timestep(inputs[0])
    network.reset()
    fresh = network.timestep(inputs[0])
    assert np.abs(carried - fresh).max() > 1e-3
    assert before == pytest.approx(network.train(inputs, targets, rate=0.5), abs=1e-12)


def test_the_seed_decides_everything() -> None:
    specs = [LayerSpec("lstm", 2, 3, peephole=True), LayerSpec("elman", 3, 4)]
    first, second, other = (Network(specs, 2, seed) for seed in (5, 5, 6))
    x = np.ones((1, 2))
    np.testing.assert_array_equal(first.timestep(x), second.timestep(x))
    assert np.abs(first.timestep(x) - other.timestep(x)).max() > 1e-3


def test_initial_parameters() -> None:
    spec = LayerSpec("lstm", 30, 25, layer_norm=True, learn_initial_state=True, proj_size=7)
    parameters = initialise(spec, np.random.default_rng(1))
    assert {name: p.shape for name, p in parameters.items()} == spec.parameter_shapes
    for name in ("weight_ih", "weight_hh", "weight_hr", "bias_ih", "bias_hh"):
        values = parameters[name]  # uniform in ±0.2: fills the range, and its deviation follows
        assert 0.18 < np.abs(values).max() <= 0.2, name
        assert values.std() == pytest.approx(0.2 / np.sqrt(3), rel=0.15), name
    for name in ("norm_ih", "norm_hh", "norm_c"):
        np.testing.assert_array_equal(parameters[name], 1.0)
    for name in ("norm_c_bias", "initial_h", "initial_c"):
        np.testing.assert_array_equal(parameters[name], 0.0)


def test_errors() -> None:
    one = LayerSpec("elman", 3, 4)
    with pytest.raises(UsageError, match="specs must hold at least one layer"):
        Network([], 2, seed=0)
    with pytest.raises(UsageError, match="output_size must be at least 1, found 0"):
        Network([one], 0, seed=0)
    with pytest.raises(UsageError, match="output size 4 must read as much, found input_size 3"):
        Network([one, one], 2, seed=0)
    network = Network([one], 2, seed=0)
    with pytest.raises(UsageError, match=r"\[Network\] x must have shape \(B, 3\), found \(3,\)"):
        network.timestep(np.ones(3))
    network.timestep(np.ones((2, 3)))
    with pytest.raises(UsageError, match=r"x must keep B=2 until reset\(\), found B=1"):
        network.timestep(np.ones((1, 3)))
    network.output = Linear(np.full((2, 4), np.nan), np.zeros(2))
    with pytest.raises(DivergedError, match="the loss must be finite, found nan; lower the rate"):
        network.train(np.ones((1, 1, 3)), np.zeros((1, 1), dtype=int), rate=0.1)
