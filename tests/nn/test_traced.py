"""What ``torch.compile`` and ``torch.export`` make of the layers is what the layers are."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from nn.configured import (
    CONFIGURED,
    WAYS,
    B,
    Configured,
    D,
    T,
    answers,
    around,
    assert_same,
    flat,
    make,
    starting_state,
    weigh,
)
from torch import Tensor, nn

from elman.core import is_built
from elman.nn import operators
from elman.nn.call import Call, Named

pytestmark = [
    pytest.mark.skipif(not is_built(), reason="the operators are the core's"),
    # Inductor itself uses what torch calls deprecated.
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),
]
every_way = pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
every_layer = pytest.mark.parametrize("configured", CONFIGURED.values(), ids=CONFIGURED)


@pytest.fixture(autouse=True)
def compile_anew() -> None:
    torch._dynamo.reset()


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


@every_way
@every_layer
def test_compiled_in_one_graph(configured: Configured, ways: tuple[str, ...]) -> None:
    layer = make(configured)  # in training: what is random comes from the same generator
    x, hx = draw(T, B, D), starting_state(layer)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    expected = answers(layer, layer, x, hx, **around(ways))
    assert_same(answers(layer, compiled, x, hx, **around(ways)), expected)


@pytest.mark.parametrize("name", ["tanh-all", "gru-all", "peephole-all"])
def test_compiled_stacks(name: str) -> None:
    layer = make(CONFIGURED[name], num_layers=2, bidirectional=True, batch_first=True)
    hx, how = starting_state(layer), around(("lengths", "resets"))
    how["resets"] = how["resets"].t()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    expected = answers(layer, layer, draw(B, T, D), hx, **how)
    assert_same(answers(layer, compiled, draw(B, T, D), hx, **how), expected)


@pytest.mark.parametrize("name", ["relu3-all", "gru-plain", "lstm-all"])
def test_compiled_by_inductor(name: str) -> None:
    layer = make(CONFIGURED[name], bidirectional=True).eval()
    x, hx, how = draw(T, B, D), starting_state(layer), around(("lengths", "resets"))
    compiled = torch.compile(layer, fullgraph=True)
    assert_same(answers(layer, compiled, x, hx, **how), answers(layer, layer, x, hx, **how))


@pytest.mark.parametrize("name", ["relu3-plain", "gru-all", "lstm-all"])
def test_compiled_trajectory_and_step(name: str) -> None:
    layer = make(CONFIGURED[name]).eval()
    every = torch.compile(layer.trajectory, fullgraph=True, backend="aot_eager")
    step = torch.compile(layer.step, fullgraph=True, backend="aot_eager")
    x, how = draw(T, B, D), around(("lengths", "resets"))
    torch.testing.assert_close(every(x, **how), layer.trajectory(x, **how), rtol=0, atol=1e-12)
    state = starting_state(layer)
    torch.testing.assert_close(step(x[0], state), layer.step(x[0], state), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["relu3-all", "gru-all", "lstm-all"])
def test_one_graph_serves_every_size(name: str) -> None:
    layer = make(CONFIGURED[name], num_layers=2, bidirectional=True).eval()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")

    def call(x: Tensor, hx: Any, lengths: Tensor, resets: Tensor) -> Any:
        free = [(x, (0, 1)), (lengths, (0,)), (resets, (0, 1)), *((s, (1,)) for s in flat(hx))]
        for tensor, dims in free:
            torch._dynamo.mark_dynamic(tensor, dims)
        return compiled(x, hx, lengths=lengths, resets=resets)

    for i, (steps, batch) in enumerate([(6, 3), (9, 4), (5, 2), (11, 7)]):
        x, hx = draw(steps, batch, D), starting_state(layer, batch)
        how = around(("lengths", "resets"), steps, batch)
        expected = answers(layer, layer, x, hx, **how)
        with torch._dynamo.config.patch(error_on_recompile=i > 0):
            assert_same(answers(layer, call, x, hx, **how), expected)


def test_lengths_are_looked_at_when_compiled_too() -> None:
    layer = make(CONFIGURED["gru-plain"])
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    compiled(draw(T, B, D), lengths=torch.tensor([1, 2, T]))
    with pytest.raises(ValueError, match=f"lengths must be from 1 to T={T}, found {T + 1}"):
        compiled(draw(T, B, D), lengths=torch.tensor([1, 2, T + 1]))


class Tagger(nn.Module):
    """A layer in the middle of a model."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer
        self.out = nn.Linear(layer.output_size, 2, dtype=torch.float64)

    def forward(self, x: Tensor, lengths: Tensor) -> Any:
        y, state = self.layer(x, lengths=lengths)
        return self.out(y), state


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "non-strict"])
@pytest.mark.parametrize("name", ["relu3-all", "gru-all", "peephole-all"])
def test_exported(name: str, strict: bool) -> None:
    model = Tagger(make(CONFIGURED[name], num_layers=2, bidirectional=True)).eval()
    free = {"x": {0: torch.export.Dim("T", min=2, max=100)}, "lengths": None}
    given = draw(T, B, D), torch.tensor([T, 1, 3])
    program = torch.export.export(model, given, dynamic_shapes=free, strict=strict)
    nodes = [str(node.target) for node in program.graph.nodes]
    assert nodes.count("elman.layer.default") == 4
    for steps in (T, 9, 3):
        given = draw(steps, B, D), torch.tensor([steps, 1, steps - 1])
        torch.testing.assert_close(program.module()(*given), model(*given), rtol=0, atol=1e-12)


def asking(value: Any) -> Any:
    """The argument of an operator, where its tensors ask for gradients."""
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.is_floating_point())
    return [asking(each) for each in value] if isinstance(value, (tuple, list)) else value


@every_way
@every_layer
def test_operators_keep_their_promises(
    configured: Configured, ways: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: dict[str, Sequence[Any]] = {}
    forward, backward = operators.forward, operators.backward

    def spy(call: Call, given: Named) -> Named:
        calls["layer"] = *call, list(given.values())
        return forward(call, given)

    def spy_backward(call: Call, *given: Any) -> list[Tensor]:
        calls["layer_backward"] = *call, *given
        return backward(call, *given)

    monkeypatch.setattr(operators, "forward", spy)
    monkeypatch.setattr(operators, "backward", spy_backward)
    layer = make(configured, bidirectional="resets" in ways)
    y, final = layer(draw(T, B, D).requires_grad_(), starting_state(layer), **around(ways))
    weigh([y, *flat(final)]).backward()
    assert set(calls) == {"layer", "layer_backward"}
    for name, given in calls.items():
        torch.library.opcheck(
            getattr(torch.ops.elman, name).default,
            tuple(asking(each) for each in given),
            test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
        )
