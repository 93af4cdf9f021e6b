"""Text models with every parameter drawn, as folders, and what the reference says of them."""

from typing import Any

import numpy as np

from elman import modelfile
from elman.encode.text import Vocabulary, build
from elman.modelfile.text import TextModelSpec
from elman.reference import Linear, forward
from elman.reference import build as cell
from elman.spec import suffix

TEXT = (
    "the cat sat on the mat. the dog sat on the log, and the end of it was that the cat's hat "
    "fell off. caf\u00e9 na\u00efve fa\u00e7ade: it is the end of the story.\n"
)
LEVELS = ("byte", "character", "word", "bpe")


def vocabulary(level: str) -> Vocabulary:
    size = {"word": 20, "bpe": 45}.get(level)
    return build(level, [TEXT], size=size, min_count=1)


def draw(spec: TextModelSpec, tokens: int, seed: int = 3) -> dict[str, np.ndarray]:
    """Random tensors, biases and norms included, that make a model with opinions."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.uniform(-0.9, 0.9, shape) + ("norm_" in name)).astype("float32")
        for name, shape in spec.tensor_shapes(tokens).items()
    }


def write(folder: Any, level: str = "character", seed: int = 3, **options: Any) -> Any:
    """Write a text model; return its folder."""
    spec = TextModelSpec(**({"hidden": 19, "embedding": 7} | options))
    known = vocabulary(level)
    modelfile.write(
        folder,
        task="text",
        spec=spec.to_json(),
        tensors=draw(spec, len(known), seed),
        tokenizer=known.to_json(),
        readme="",
    )
    return folder


def log_probs(folder: Any, tokens: list[int]) -> np.ndarray:
    """Log-probabilities (T, V) after each token, by the reference in float64."""
    held = modelfile.read(folder)
    spec = TextModelSpec.from_json(held.spec)
    arrays = {name: array.astype("float64") for name, array in held.tensors.items()}
    table = arrays["output.weight" if spec.tie else "embedding.weight"]
    x = table[tokens][:, None]
    for number, layer in enumerate(spec.recurrent):
        mine = {n: arrays[f"recurrent.{n}{suffix(number)}"] for n in layer.parameter_shapes}
        keep = tuple(np.float64(spec.zoneout) for _ in layer.state_sizes)
        x = forward(cell(layer, mine), x, keep=keep if spec.zoneout else None).outputs
    y = Linear(arrays["output.weight"], arrays["output.bias"]).forward(x)[:, 0]
    shifted = y - y.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
