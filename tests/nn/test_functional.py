"""One layer in one direction under every condition, drawn masks included, against the reference."""

from typing import Any

import numpy as np
import pytest
import torch

from elman import nn
from elman.errors import UsageError
from elman.nn import fused, implementation, native
from elman.nn.functional import layer
from elman.nn.loop import Conditions
from elman.reference import backward, build, forward
from elman.spec import CELLS, LayerSpec

STEPS, BATCH = 6, 3
SPECS: dict[str, LayerSpec] = {
    "tanh": LayerSpec("elman", 3, 4),
    "relu": LayerSpec("elman", 3, 4, nonlinearity="relu"),
    "order2": LayerSpec("elman", 3, 4, order=2),
    "order3-all": LayerSpec("elman", 3, 4, order=3, layer_norm=True, bias=False),
    "gru": LayerSpec("gru", 3, 4),
    "gru-norm": LayerSpec("gru", 3, 4, layer_norm=True),
    "lstm": LayerSpec("lstm", 3, 4),
    "lstm-peephole": LayerSpec("lstm", 3, 4, peephole=True),
    "lstm-proj": LayerSpec("lstm", 3, 4, proj_size=2),
    "lstm-all": LayerSpec("lstm", 3, 4, peephole=True, proj_size=2, layer_norm=True),
}
CONDITIONS = {
    "nothing": (),
    "mask": ("mask",),
    "keep": ("keep",),
    "initial": ("resets", "initial"),
    "lengths": ("lengths",),
    "all": ("mask", "keep", "resets", "initial", "lengths"),
}


@pytest.mark.parametrize("reverse", [False, True], ids=["onwards", "reverse"])
@pytest.mark.parametrize("given", CONDITIONS.values(), ids=CONDITIONS)
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_values_and_gradients(spec: LayerSpec, given: tuple[str, ...], reverse: bool) -> None:
    rng = np.random.default_rng(3)
    sizes = list(spec.state_sizes.items())
    bases = CELLS[spec.cell].states
    weights = {n: 0.6 * rng.standard_normal(s) for n, s in spec.parameter_shapes.items()}
    x = rng.standard_normal((STEPS, BATCH, 3))
    state = [rng.standard_normal((BATCH, size)) for _, size in sizes]
    initial = [rng.standard_normal(size) for _, size in sizes]
    mask = rng.integers(0, 2, (BATCH, spec.order * spec.output_size)) / 0.5  # dropout of 0.5
    keep = {n: rng.integers(0, 2, (STEPS, BATCH, s)) * 1.0 for n, s in sizes if n in bases}
    lengths, resets = np.array([4, 6, 1]), rng.random((STEPS, BATCH)) < 0.4
    d_outputs = rng.standard_normal((STEPS, BATCH, spec.output_size))
    d_states = [rng.standard_normal((STEPS, BATCH, size)) for _, size in sizes]
    d_final = [rng.standard_normal((BATCH, size)) for _, size in sizes]

    options: dict[str, Any] = {
        "mask": mask,
        "keep": [keep[name] for name in bases],
        "resets": resets,
        "initial": tuple(initial),
        "lengths": lengths,
    }
    options = {name: value for name, value in options.items() if name in given}
    trace = forward(build(spec, weights), x, tuple(state), reverse=reverse, **options)
    expected = backward(trace, d_outputs, tuple(d_states), tuple(d_final))

    def leaf(array: Any) -> torch.Tensor:
        return torch.tensor(array, requires_grad=True)

    p = {name: leaf(value) for name, value in weights.items()}
    x_leaf, state_leaves = leaf(x), [leaf(s) for s in state]
    initial_leaves = [leaf(s) for s in initial]
    around = Conditions(
        lengths=torch.tensor(lengths) if "lengths" in given else None,
        resets=torch.tensor(resets) if "resets" in given else None,
        initial=tuple(initial_leaves),
        mask=torch.tensor(mask) if "mask" in given else None,
        keep=tuple(torch.tensor(keep[n]) if n in keep else None for n, _ in sizes)
        if "keep" in given
        else None,
    )
    result = layer(spec, p, x_leaf, tuple(state_leaves), around, reverse=reverse, trajectory=True)
    read = (result.outputs, *(result.trajectory or ()), *result.final)
    torch.autograd.backward(read, [torch.tensor(d) for d in (d_outputs, *d_states, *d_final)])

    def same(found: torch.Tensor | None, wanted: Any, name: str) -> None:
        assert found is not None, name
        np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=0, atol=1e-12, err_msg=name)

    same(result.outputs, trace.outputs, "outputs")
    same(x_leaf.grad, expected.x, "x")
    for i, (name, _) in enumerate(sizes):
        assert result.trajectory is not None
        same(result.trajectory[i], trace.states[i], f"states {name}")
        same(result.final[i], trace.final[i], f"final {name}")
        same(state_leaves[i].grad, expected.state0[i], f"state0 {name}")
        if "initial" in given:
            same(initial_leaves[i].grad, expected.initial[i], f"initial {name}")
    for name, parameter in p.items():
        same(parameter.grad, expected.parameters[name], name)


def simplest() -> tuple[LayerSpec, dict[str, torch.Tensor], torch.Tensor, Any]:
    spec = LayerSpec("elman", 2, 3)
    p = {name: torch.randn(shape) for name, shape in spec.parameter_shapes.items()}
    return spec, p, torch.randn(4, 1, 2), (torch.randn(1, 3),)


def test_the_trajectory_comes_when_asked_for() -> None:
    arguments = simplest()
    for name in ("loop", "auto"):
        with implementation(name):
            assert layer(*arguments, Conditions()).trajectory is None
            result = layer(*arguments, Conditions(), trajectory=True)
        assert result.trajectory is not None
        torch.testing.assert_close(result.trajectory[0], result.outputs, rtol=0, atol=0)


def test_fused_says_what_it_cannot_do() -> None:
    spec, p, x, state = simplest()
    around = Conditions(lengths=torch.tensor([3]))
    with implementation("fused"), pytest.raises(UsageError) as raised:
        layer(spec, p, x, state, around)
    assert str(raised.value) == f"[fused] cannot compute this layer or this call, found {spec}"


def test_an_unknown_implementation_is_refused() -> None:
    with pytest.raises(UsageError) as raised, implementation("triton"):
        pass
    assert str(raised.value) == (
        "[implementation] must be one of ('auto', 'core', 'loop', 'fused'), found 'triton'"
    )


def test_the_choice_ends_with_its_context(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, asked = simplest(), list[str]()
    run = fused.run
    monkeypatch.setattr(fused, "run", lambda *p, **q: asked.append("fused") or run(*p, **q))
    with implementation("loop"):
        layer(*arguments, Conditions())
        assert asked == []
        with pytest.raises(ZeroDivisionError), implementation("fused"):
            layer(*arguments, Conditions())
            raise ZeroDivisionError
        layer(*arguments, Conditions())
        assert asked == ["fused"]
    layer(*arguments, Conditions())
    assert asked == ["fused", "fused"]  # so few timesteps are not worth a call of the core


@pytest.mark.parametrize(
    ("steps", "batch", "learning", "options", "by"),
    [
        (8, 3, False, {}, "fused"),
        (9, 3, False, {}, "core"),
        (8, 64, False, {}, "core"),
        (8, 3, True, {}, "core"),
        (8, 3, False, {"layer_norm": True}, "core"),
    ],
)
def test_packing_large_weights_is_not_worth_a_few_rows(
    steps: int,
    batch: int,
    learning: bool,
    options: dict[str, bool],
    by: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1,024 units are 8 MiB of weights, which the core packs for any number of timesteps."""
    made, asked, run = nn.RNN(1024, 1024, **options), list[str](), fused.run

    def core(*given: Any, trajectory: bool, **how: Any) -> tuple[Any, ...]:
        asked.append("core")
        return (*run(*given[:4], **how), None)

    monkeypatch.setattr(fused, "run", lambda *p, **q: asked.append("fused") or run(*p, **q))
    monkeypatch.setattr(native, "run", core)
    monkeypatch.setattr(native, "supports", lambda *_: True)
    with torch.set_grad_enabled(learning):
        made(torch.zeros(steps, batch, 1024))
        with torch.autocast("cpu", dtype=torch.bfloat16):  # where the core rounds less
            made(torch.zeros(steps, batch, 1024))
    assert asked == [by, "core"]
