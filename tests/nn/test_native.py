"""The native core against the loop, in every manner of use."""

import copy
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from nn.configured import (
    CONFIGURED,
    WAYS,
    B,
    Configured,
    D,
    H,
    T,
    answers,
    around,
    assert_same,
    flat,
    make,
    starting_state,
    weigh,
)
from torch import Tensor

from elman import nn
from elman.core import is_built, isas
from elman.errors import UsageError

pytestmark = pytest.mark.skipif(not is_built(), reason="there is no core")
TESTS = Path(__file__).parents[1]
every_way = pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
every_layer = pytest.mark.parametrize("configured", CONFIGURED.values(), ids=CONFIGURED)
some = pytest.mark.parametrize("name", ["tanh-plain", "relu3-all", "gru-all", "peephole-all"])


def draw(*shape: int, seed: int = 8) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_each(layer: Any, x: Tensor, hx: Any, **how: Any) -> list[dict[str, Tensor]]:
    found = []
    for name in ("core", "loop"):
        with nn.implementation(name):
            found.append(answers(layer, layer, x, hx, **how))
    return found


@pytest.mark.usefixtures("memory_of_nans")
@pytest.mark.parametrize("bidirectional", [False, True], ids=["oneway", "bothways"])
@every_way
@every_layer
def test_training_is_the_loops(
    configured: Configured, ways: tuple[str, ...], bidirectional: bool
) -> None:
    layer = make(configured, num_layers=2, bidirectional=bidirectional)
    assert_same(*by_each(layer, draw(T, B, D), starting_state(layer), **around(ways)))


@pytest.mark.parametrize(
    "lengths", [[1, 1, 1, 1], [1, 2, 3, 7], [7, 3, 2, 1], [2, 7, 7, 1]], ids=str
)
@some
def test_lengths_in_any_order(name: str, lengths: list[int]) -> None:
    layer = make(CONFIGURED[name], bidirectional=True)
    x = draw(7, 4, D)
    for b, length in enumerate(lengths):
        x[length:, b] = float("nan")
    assert_same(*by_each(layer, x, starting_state(layer, 4), lengths=lengths))


@pytest.mark.parametrize("read", ["outputs", "final", "c"])
@some
def test_a_loss_that_reads_a_part(name: str, read: str) -> None:
    layer, hx = make(CONFIGURED[name]), starting_state(make(CONFIGURED[name]))
    if read == "c" and not name.startswith("peephole"):
        read = "final"
    found = []
    for implementation in ("core", "loop"):
        torch.manual_seed(3)
        x = draw(T, B, D).requires_grad_()
        with nn.implementation(implementation):
            if read == "c":
                part = layer.trajectory(x, hx, **around(("lengths", "resets")))[1]
            else:
                both = layer(x, hx, **around(("lengths", "resets")))
                part = both[0] if read == "outputs" else flat(both[1])[-1]
        inputs = [x, *flat(hx), *layer.parameters()]
        options = {"allow_unused": True, "materialize_grads": True}
        found.append(torch.autograd.grad(weigh([part]), inputs, **options))
    torch.testing.assert_close(*found, rtol=0, atol=1e-10)


@pytest.mark.usefixtures("memory_of_nans")
@pytest.mark.parametrize("ways", [(), ("lengths", "resets")], ids=["whole", "both"])
@some
def test_training_is_the_loops_over_many_rows(
    name: str, ways: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The core keeps the gates' gradients of 256 rows, where nobody else wants them. So it is in
    # float32 with AMX, and in float64 where the weights are constant.
    steps, batch = 23, 41
    layer = make(CONFIGURED[name]).eval()  # masks are not drawn alike in both types
    x, hx = draw(steps, batch, D), starting_state(layer, batch)
    lengths = torch.arange(batch) * 7 % steps + 1
    conditions = around(ways, steps, batch) | ({"lengths": lengths} if ways else {})
    expected = by_each(layer, x, hx, **conditions)[1]
    layer.requires_grad_(False)
    ours = ("outputs", "final", "d x", "d state")
    constant = {n: t for n, t in expected.items() if n.startswith(ours)}
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("ELMAN_THREADS", threads)
        found = answers(layer, layer, x, hx, **conditions)
        assert_same({n: found[n] for n in constant}, constant, atol=1e-9)
    layer.requires_grad_(True).float()
    state = tuple(each.float() for each in flat(hx))
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("ELMAN_THREADS", threads)
        hx = state if len(state) > 1 else state[0]
        found = answers(layer, layer, x.float(), hx, **conditions)
        for n, each in expected.items():
            assert (found[n] - each).abs().max() <= 1e-5 * each.abs().max(), n


@some
def test_what_asks_for_no_gradient_gets_none(name: str) -> None:
    layer = make(CONFIGURED[name], num_layers=2)
    frozen = [n for i, n in enumerate(dict(layer.named_parameters())) if i % 2]
    for n in frozen:
        layer.get_parameter(n).requires_grad_(False)
    x = draw(T, B, D)
    assert_same(*by_each(layer, x, starting_state(layer)))
    y, _ = layer(x)  # x itself asks for none
    layer.zero_grad()
    weigh([y]).backward()
    for n, p in layer.named_parameters():
        assert "initial" in n or (p.grad is None) == (n in frozen)
    assert x.grad is None


@some
def test_layouts_in_memory(name: str) -> None:
    layer = make(CONFIGURED[name], batch_first=True)
    wide = draw(T, D, B).permute(2, 0, 1)  # (B, T, D), contiguous in no order that anyone wants
    assert not wide.is_contiguous()
    assert_same(*by_each(layer, wide, starting_state(layer)))
    with torch.no_grad():
        for n, p in layer.named_parameters():
            if p.ndim == 2:
                p.set_(p.t().contiguous().t())  # a weight by columns
                assert not layer.get_parameter(n).is_contiguous() or min(p.shape) == 1
    assert_same(*by_each(layer, wide, starting_state(layer)))


@some
def test_copies_and_state_dicts(name: str) -> None:
    layer = make(CONFIGURED[name], num_layers=2)
    x, hx = draw(T, B, D), starting_state(layer)
    expected = answers(layer, layer, x, hx)
    twin = copy.deepcopy(layer)
    other = make(CONFIGURED[name], num_layers=2)
    for p in other.parameters():
        torch.nn.init.normal_(p)
    other.load_state_dict(layer.state_dict())
    for p in layer.parameters():
        torch.nn.init.normal_(p)
    for each in (twin, other):
        assert_same(answers(each, each, x, hx), expected, atol=0)


def test_results_outlive_their_layer() -> None:
    layer = make(CONFIGURED["lstm-plain"])
    x = draw(T, B, D).requires_grad_()
    y, _ = layer(x)
    kept = y.detach().clone()
    del layer
    for _ in range(3):  # which would take the memory, were it free
        make(CONFIGURED["lstm-plain"])(draw(T, B, D))
    torch.testing.assert_close(y, kept, rtol=0, atol=0)
    weigh([y]).backward()
    assert x.grad is not None and x.grad.isfinite().all()


def test_python_threads_share_a_layer() -> None:
    layer = make(CONFIGURED["gru-plain"])
    inputs = [draw(40, 3, D, seed=i) for i in range(6)]
    expected = [torch.autograd.grad(weigh([layer(x)[0]]), list(layer.parameters())) for x in inputs]
    found: dict[int, Any] = {}

    def work(i: int) -> None:
        for _ in range(20):
            found[i] = torch.autograd.grad(weigh([layer(inputs[i])[0]]), list(layer.parameters()))

    workers = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
        assert not worker.is_alive()
    for i, each in enumerate(expected):
        torch.testing.assert_close(found[i], each, rtol=0, atol=1e-10)


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *(("-c", code) if code else ()), *arguments],
        env=os.environ | environment,
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


FORKED = """
import os, sys, torch
from elman import nn
torch.set_num_threads(2)
layer = nn.LSTM(8, 64)
x = torch.randn(50, 4, 8)
def gradient():
    layer.zero_grad()
    layer(x)[0].sum().backward()
    return layer.weight_hh_l0.grad.clone()
before = gradient()
child = os.fork()
if not child:
    os._exit(0 if torch.allclose(gradient(), before, atol=1e-4) else 1)
import time
deadline = 60
while deadline > 0:
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        assert torch.allclose(gradient(), before, atol=1e-4)
        sys.exit(os.waitstatus_to_exitcode(status))
    time.sleep(0.1)
    deadline -= 0.1
os.kill(child, 9)
sys.exit("the child hangs")
"""


def test_a_forked_child_goes_on() -> None:
    done = python(FORKED, OMP_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr


def _outputs(seed: int) -> Any:
    torch.manual_seed(0)
    layer = nn.GRU(D, H, dtype=torch.float64)
    return layer(draw(T, B, D, seed=seed))[0].detach().numpy()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes(method: str) -> None:
    code = (
        "import multiprocessing, sys\nimport numpy as np\nsys.path.insert(0, 'tests')\n"
        "from nn.test_native import _outputs\n"
        "if __name__ == '__main__':\n"
        "    here = [_outputs(i) for i in range(4)]\n"
        f"    with multiprocessing.get_context('{method}').Pool(2) as pool:\n"
        "        there = pool.map_async(_outputs, range(4)).get(timeout=100)\n"
        "    np.testing.assert_allclose(there, here, rtol=0, atol=1e-12)\n"
    )
    done = python(code, OMP_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("units", [1, 5, 37], ids="H{}".format)
@pytest.mark.parametrize("batch", [1, 3, 17], ids="B{}".format)
@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_any_number_of_threads(
    cell: str, batch: int, units: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(2)
    layer = getattr(nn, cell)(D, units, bidirectional=True, zoneout=0.3, dtype=torch.float64).eval()
    x, lengths = draw(9, batch, D), torch.arange(batch) % 9 + 1
    hx = layer.initial_state(batch)
    found = []
    for threads in ("1", "2", "3", "5"):
        monkeypatch.setenv("ELMAN_THREADS", threads)
        with nn.implementation("core"):
            found.append(answers(layer, layer, x, hx, lengths=lengths))
    for other in found[1:]:
        assert_same(other, found[0])


@pytest.mark.parametrize("wanted", ["0", "-1", "two", "257", "1.5", "٣", "9" * 40])
def test_a_wrong_number_of_threads_is_refused(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELMAN_THREADS", wanted)
    with pytest.raises(UsageError) as raised, nn.implementation("core"):
        make(CONFIGURED["tanh-plain"])(draw(T, B, D))
    rule = "[core] ELMAN_THREADS must be a number from 1 to 256"
    assert str(raised.value) == f"{rule}, found {wanted[:20]!r}"


@pytest.mark.parametrize("isa", isas())
def test_every_instruction_set(isa: str) -> None:
    chosen = "square or zeros or precision or every_option or training_is or lengths_in"
    files = [TESTS / "test_equivalence.py", Path(__file__)]
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, *map(str, files)]
    done = python("", *arguments, ELMAN_ISA=isa)
    assert done.returncode == 0, done.stdout[-3000:]


WITHOUT = """
import sys, warnings
sys.modules["elman._core"] = None  # as if it had not been built
import torch
from elman import nn
from elman.nn import functional
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for options in ({}, {"layer_norm": True, "zoneout": 0.1}, {"proj_size": 2}):
        layer = nn.LSTM(3, 4, **options)
        y, _ = layer(torch.randn(5, 2, 3), lengths=[5, 2])
        y.sum().backward()
        layer.step(torch.randn(2, 3))
own = (str(each.message) for each in said if str(each.message).startswith("["))
print(*own, sep="\\n")
"""


def test_without_a_core_layers_run_and_say_so_once() -> None:
    done = python(WITHOUT)
    assert done.returncode == 0, done.stderr
    wanted = "[core] elman was installed without a C++ compiler: it works, but slowly"
    assert done.stdout.splitlines() == [wanted]
