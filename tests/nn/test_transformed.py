"""The layers under ``torch.func``: each sample, member or direction as if it were alone."""

from typing import Any

import pytest
import torch
from nn.configured import CONFIGURED, WAYS, Configured, D, T, around, flat, make, weigh
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import (
    functional_call,
    grad,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    stack_module_state,
    vjp,
    vmap,
)

from elman import nn

# Forward mode itself uses what torch calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
every_way = pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
every_layer = pytest.mark.parametrize("configured", CONFIGURED.values(), ids=CONFIGURED)
some = pytest.mark.parametrize(
    "name", ["relu3-all", "gru-plain", "gru-all", "lstm-plain", "peephole-all"]
)


def close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


@every_way
@every_layer
def test_gradients_of_every_sample(configured: Configured, ways: tuple[str, ...]) -> None:
    layer = make(configured, num_layers=2, bidirectional="resets" in ways).eval()
    p, xs, how = dict(layer.named_parameters()), draw(4, T, 2, D), around(ways, T, 2)

    def loss(p: dict[str, Tensor], x: Tensor) -> Tensor:
        y, final = functional_call(layer, p, (x,), how)
        return weigh([y, *flat(final)])

    of_weights, of_x = vmap(grad(loss, argnums=(0, 1)), in_dims=(None, 0))(p, xs)
    for i, x in enumerate(xs):
        leaf = x.clone().requires_grad_()
        with nn.implementation("loop"):
            alone = torch.autograd.grad(
                loss(p, leaf), [leaf, *p.values()], materialize_grads=True, allow_unused=True
            )
        close(of_x[i], alone[0])
        close([of_weights[name][i] for name in p], list(alone[1:]))


def test_random_states_and_samples_in_the_middle() -> None:
    layer = make(CONFIGURED["gru-random"])
    xs, hx = draw(T, 2, 4, D), draw(1, 2, 4, 5)

    def loss(x: Tensor, h: Tensor) -> Tensor:
        return layer(x, h)[0].square().sum()

    torch.manual_seed(5)
    mapped = vmap(grad(loss, argnums=(0, 1)), in_dims=(2, 2), out_dims=2, randomness="same")
    found = mapped(xs, hx)
    for i in range(4):
        torch.manual_seed(5)
        close(
            tuple(d.select(2, i) for d in found),
            grad(loss, argnums=(0, 1))(xs[:, :, i], hx[:, :, i]),
        )


@every_way
@some
def test_an_ensemble(name: str, ways: tuple[str, ...]) -> None:
    members = [make(CONFIGURED[name]).eval() for _ in range(3)]
    for scale, member in enumerate(members):
        torch.nn.utils.vector_to_parameters(
            torch.nn.utils.parameters_to_vector(member.parameters()) * (1 + scale / 4),
            member.parameters(),
        )
    stacked, _ = stack_module_state(members)
    x, how = draw(T, 2, D), around(ways, T, 2)
    y = vmap(lambda p: functional_call(members[0], p, (x,), how)[0])(stacked)
    weigh([y.square()]).backward()
    alone = torch.stack([member(x, **how)[0] for member in members])
    close(y, alone)
    weigh([alone.square()]).backward()
    for n, p in stacked.items():
        grads = [dict(m.named_parameters())[n].grad for m in members]
        close(p.grad, None if grads[0] is None else torch.stack(grads))


@some
def test_jacobians_and_hessians(name: str) -> None:
    layer, x = make(CONFIGURED[name]).eval(), draw(3, 2, D)

    def outputs(x: Tensor) -> Tensor:
        return layer(x)[0]

    def loss(x: Tensor) -> Tensor:
        return weigh([layer(x)[0].square()])

    with nn.implementation("loop"):
        jacobian = torch.autograd.functional.jacobian(outputs, x)
        curvature = torch.autograd.functional.hessian(loss, x)
    close(jacrev(outputs)(x), jacobian)
    close(jacfwd(outputs)(x), jacobian)
    for second in (hessian(loss), jacrev(jacrev(loss)), jacfwd(grad(loss))):
        close(second(x), curvature)
    pull = vjp(outputs, x)[1]
    close(pull(torch.ones(3, 2, 5, dtype=x.dtype))[0], jacobian.sum((0, 1, 2)))


@some
def test_forward_mode(name: str) -> None:
    layer, x, tangent = make(CONFIGURED[name]).eval(), draw(3, 2, D), draw(4, 2, D)[1:]

    def outputs(x: Tensor) -> Tensor:
        return layer(x)[0]

    with nn.implementation("loop"):
        jacobian = torch.autograd.functional.jacobian(outputs, x)
    expected = torch.einsum("abcdef,def->abc", jacobian, tangent)
    y, along = jvp(outputs, (x,), (tangent,))
    close(along, expected)
    close(y, outputs(x))
    with forward_ad.dual_level():
        close(forward_ad.unpack_dual(outputs(forward_ad.make_dual(x, tangent))).tangent, expected)


def test_maps_in_maps() -> None:
    layer, x = make(CONFIGURED["lstm-plain"]).eval(), draw(2, 3, T, 2, D)
    y = vmap(vmap(lambda x: layer(x)[0]))(x)
    close(y, torch.stack([torch.stack([layer(b)[0] for b in a]) for a in x]))
