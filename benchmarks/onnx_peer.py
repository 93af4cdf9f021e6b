"""onnxruntime: one recurrent node over a whole sequence, which may be one timestep."""

import importlib.util
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Arrays, Contestant
from benchmarks.problem import Problem, named

KINDS = {"lstm": "LSTM", "gru": "GRU", "elman": "RNN"}
STATES = {"lstm": ("h", "c"), "gru": ("h",), "elman": ("h",)}
ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "elman": (0,)}  # of ONNX: iofc, zrh


def absent() -> str:
    """Why it cannot be compared; empty if it can."""
    missing = [name for name in ("onnxruntime", "onnx") if not importlib.util.find_spec(name)]
    return f"{' and '.join(missing)} not installed" if missing else ""


def session(
    cell: str,
    weights: Mapping[str, NDArray[Any]],
    threads: int,
    ends: Mapping[str, NDArray[Any]] | None = None,
) -> Any:
    """A session with inputs ``x`` (T, B, D) and states (1, B, H); ``weights`` without suffix.

    With ``ends``, an embedding and an output layer by their names in a text model, ``x`` is ids
    (T, B) and the output is theirs.
    """
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    rows, inputs = weights["weight_ih"].shape
    size = rows // len(ORDER[cell])

    def blocks(name: str) -> NDArray[Any]:
        parts = np.split(weights[name], len(ORDER[cell]))
        return np.concatenate([parts[i] for i in ORDER[cell]])[None]

    def described(name: str, *shape: Any) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    bias = np.concatenate([blocks("bias_ih"), blocks("bias_hh")], axis=1)
    constants = {"W": blocks("weight_ih"), "R": blocks("weight_hh"), "B": bias}
    states = STATES[cell]
    after = [f"{s}_next" for s in states]
    read, given = ["x", "W", "R", "B", "", *states], ["y", *after]
    extra = {"linear_before_reset": 1} if cell == "gru" else {}
    first, last, outputs = described("x", "T", "B", inputs), "y", size
    before, behind = [], []
    if ends is not None:
        constants |= {"E": ends["embedding.weight"], "V": ends["output.weight"].T.copy()}
        constants["A"] = ends["output.bias"]
        first = helper.make_tensor_value_info("x", TensorProto.INT64, ("T", "B"))
        before = [helper.make_node("Gather", ["E", "x"], ["embedded"])]
        read[0], last, outputs = "embedded", "logits", len(constants["A"])
        behind = [
            helper.make_node("MatMul", ["y", "V"], ["products"]),
            helper.make_node("Add", ["products", "A"], ["logits"]),
        ]
    node = helper.make_node(KINDS[cell], read, given, hidden_size=size, **extra)
    graph = helper.make_graph(
        [*before, node, *behind],
        "recurrence",
        [first, *(described(s, 1, "B", size) for s in states)],
        [described(last, "T", 1, "B", outputs), *(described(s, 1, "B", size) for s in after)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recurrence.onnx"
        onnx.save(model, path)
        return onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])


def inference(problem: Problem, threads: int) -> Contestant:
    made = session(problem.cell, problem.weights, threads)
    states = STATES[problem.cell]
    feed = {"x": problem.x}
    feed |= {name: s[None] for name, s in zip(states, problem.state, strict=True)}

    def run() -> Any:
        return made.run(None, feed)

    def result() -> Arrays:
        y, *final = run()
        return {"outputs": y[:, 0]} | named("final", problem.spec, tuple(s[0] for s in final))

    return Contestant("onnxruntime", run, result, lambda: problem.forward_solution)
