"""jax: a scan over time, compiled; the input part is one product, as in every fast recurrence."""

import importlib.util
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measure import Arrays, Contestant
from benchmarks.problem import Problem, named


def absent() -> str:
    """Why it cannot be compared; empty if it can."""
    return "" if importlib.util.find_spec("jax") else "jax not installed"


def limit_threads(threads: int) -> None:
    """Must come before jax is imported: XLA sizes its pool once."""
    os.environ |= {"NPROC": str(threads), "PJRT_NPROC": str(threads), "JAX_PLATFORMS": "cpu"}


def _forward(cell: str) -> Callable[..., Any]:
    import jax
    from jax import numpy as jnp
    from jax.nn import sigmoid

    def lstm(state: Any, a: Any, u: Any) -> Any:
        i, f, g, o = jnp.split(a + u, 4, axis=-1)
        c = sigmoid(f) * state[1] + sigmoid(i) * jnp.tanh(g)
        return sigmoid(o) * jnp.tanh(c), c

    def gru(state: Any, a: Any, u: Any) -> Any:
        a_r, a_z, a_n = jnp.split(a, 3, axis=-1)
        u_r, u_z, u_n = jnp.split(u, 3, axis=-1)
        z = sigmoid(a_z + u_z)
        n = jnp.tanh(a_n + sigmoid(a_r + u_r) * u_n)
        return (n + z * (state[0] - n),)

    def elman(state: Any, a: Any, u: Any) -> Any:
        return (jnp.tanh(a + u),)

    advance = {"lstm": lstm, "gru": gru, "elman": elman}[cell]

    def forward(p: Any, x: Any, state: Any) -> Any:
        def step(state: Any, a: Any) -> Any:
            state = advance(state, a, state[0] @ p["weight_hh"].T + p["bias_hh"])
            return state, state[0]

        final, outputs = jax.lax.scan(step, state, x @ p["weight_ih"].T + p["bias_ih"])
        return outputs, final

    return forward


def _named(problem: Problem, outputs: Any, final: Any) -> dict[str, Any]:
    states = tuple(np.asarray(s) for s in final)
    return {"outputs": np.asarray(outputs), **named("final", problem.spec, states)}


def _given(problem: Problem) -> Any:
    import jax

    return jax.device_put((problem.weights, problem.x, problem.state))


def inference(problem: Problem) -> Contestant:
    import jax

    forward, given = jax.jit(_forward(problem.cell)), _given(problem)

    def run() -> Any:
        return jax.block_until_ready(forward(*given))

    def result() -> Arrays:
        return _named(problem, *run())

    return Contestant("jax", run, result, lambda: problem.forward_solution)


def training(problem: Problem) -> Contestant:
    """The compiler's time is outside: the first call is the one that is checked."""
    import jax

    forward, given = _forward(problem.cell), _given(problem)
    weights_of_the_sum = jax.device_put((problem.d_outputs, problem.d_final))

    @jax.jit
    def values_and_gradients(p: Any, x: Any, state: Any, d: Any) -> Any:
        values, pull_back = jax.vjp(forward, p, x, state)
        return values, pull_back(d)

    def run() -> Any:
        return jax.block_until_ready(values_and_gradients(*given, weights_of_the_sum))

    def result() -> Arrays:
        values, (d_p, d_x, d_state) = run()
        found = _named(problem, *values) | {"d x": np.asarray(d_x)}
        found |= named("d", problem.spec, tuple(np.asarray(d) for d in d_state))
        return found | {f"d {name}": np.asarray(d) for name, d in d_p.items()}

    return Contestant("jax", run, result, lambda: problem.training_solution)
